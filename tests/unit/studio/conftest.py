"""A folder of templates with a task of many rows, served in this process."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from xmtf.loopback.address import Address
from xmtf.loopback.checks import Guarded
from xmtf.studio.app import build_app
from xmtf.studio.place import open_place
from xmtf.studio.session import Options, Session
from xmtf.tasks import Task

ROWS = 10_000
KEYED = """\
# a note of the author
dataset: toy
templates:
  11111111-1111-4111-8111-111111111111: !Template
    answer_choices: No ||| Yes
    id: 11111111-1111-4111-8111-111111111111
    jinja: "{{text}}\\n\\
      Is it good? ||| {{ answer_choices[label] }}"
    metadata: !TemplateMetadata
      choices_in_prompt: null
      languages:
      - en
      metrics:
      - Accuracy
      original_task: true
    name: is it good
    reference: ''
  22222222-2222-4222-8222-222222222222: !Template
    answer_choices: null   # none
    id: 22222222-2222-4222-8222-222222222222
    jinja: '{{text}} Say it again. ||| {{text}}'
    metadata: !TemplateMetadata {languages: [en], original_task: false, metrics: []}
    name: again
    reference: ''
"""
PLAIN = """\
language: en
templates:
  - name: ask   # short
    jinja: "{{text}} Good? ||| {{label}}"
  - name: other
    jinja: |-
      {{text}}
      Bad? ||| {{label}}
"""
TOKEN = "t" * 43


class Studio:
    """A served folder, and how it is asked."""

    KEYED, PLAIN = KEYED, PLAIN

    def __init__(self, folder: Path, options: Options = Options()) -> None:  # noqa: B008 - frozen
        self.folder = folder
        task = Task(
            id="toy",
            cluster="sentiment",
            dataset="toy",
            subset="",
            language="en",
            splits={"train": ("train",), "evaluation": ("test",)},
            kind="rank",
            template_key="toy",
            paths={"train": str(folder / "rows.jsonl"), "test": str(folder / "missing.jsonl")},
        )
        place = open_place(str(folder / "mine"), {"toy": task})
        self.session = Session(place, options)
        self.session.checker = self.session.worker  # one process is enough here
        guarded = Guarded(build_app(self.session), Address("127.0.0.1", 8765, token=TOKEN))
        headers = {"authorization": f"Bearer {TOKEN}"}
        self.client = TestClient(guarded, base_url="http://127.0.0.1:8765", headers=headers)

    def options(self, **more: object) -> Options:
        return replace(self.session.options, **more)

    def get(self, path: str, **query: object) -> dict:
        answer = self.client.get(f"/api/{path}", params={key: str(value) for key, value in query.items()})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, method: str, path: str, status: int = 200, **body: object) -> dict:
        answer = self.client.request(method, f"/api/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def file(self, key: str) -> Path:
        return self.folder / "mine" / key / "templates.yaml"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio")
    rows = ({"text": f"row {n} Straße", "label": n % 2, "big": 2**60 + n, "tags": [f"t{n}"]} for n in range(ROWS))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def begin(folder: Path) -> None:
    for key, text in (("toy", KEYED), ("plain", PLAIN)):
        (folder / "mine" / key).mkdir(parents=True, exist_ok=True)
        (folder / "mine" / key / "templates.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def opened(folder: Path):
    begin(folder)
    studio = Studio(folder)
    yield studio
    studio.session.close()


@pytest.fixture
def studio(opened: Studio) -> Studio:
    """The studio with its files as they were at first."""
    begin(opened.folder)
    for kept in opened.folder.rglob("*.mine-*"):
        kept.unlink()
    return opened


@pytest.fixture
def draft() -> Callable[..., dict]:
    def draft(jinja: str, answer_choices: str | None = None, **more: object) -> dict:
        return {"jinja": jinja, "answer_choices": answer_choices, "name": "new", **more}

    return draft
