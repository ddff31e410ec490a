"""Publishing on the hub, at its client's boundary: nothing here touches a network."""

import http.server
import threading
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi

from xmtf.errors import ConfigError, DataError, UserError
from xmtf.upload import MIXTURE_FILES, check_target, plan_upload, push

CARD = "---\nlanguage: [fr]\n---\n\n# Model\n"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    (folder / ".secret").write_text("no")
    return folder


class FakeHub:
    """What ``HfApi`` does, noted down."""

    def __init__(self, *, stands=False, is_private=True):
        self.calls, self.is_private = [], is_private and not stands

    def create_repo(self, repo, **how):
        self.calls.append(("create", repo, how))
        return FakeUrl(f"https://huggingface.co/{repo}", repo)

    def repo_info(self, repo_id, **how):
        return SimpleNamespace(private=self.is_private)

    def upload_folder(self, **how):
        self.calls.append(("upload", how.pop("repo_id"), how))


class FakeUrl(str):
    def __new__(cls, text, repo):
        made = super().__new__(cls, text)
        made.repo_id = repo
        return made


def test_a_dry_run_lists_names_and_sizes_and_sends_nothing(model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: pytest.fail("the hub was asked"))
    lines = plan_upload(model, "me/demo", "model", private=True).lines()
    assert lines[:2] == [f"{len(CARD):>14,}  README.md", f"{1000:>14,}  model.safetensors"]
    assert (
        lines[2].split(maxsplit=1)[1]
        == "bytes in 2 files would be uploaded to the private model me/demo; the card is valid"
    )


def test_the_repository_is_made_and_the_listed_files_are_sent(model):
    hub = FakeHub()
    assert push(plan_upload(model, "me/demo", "model"), hub) == "https://huggingface.co/me/demo"
    (_, repo, made), (_, target, sent) = hub.calls
    assert (repo, made) == ("me/demo", {"repo_type": "model", "private": None, "exist_ok": True})
    assert target == "me/demo"
    assert sent["folder_path"] == model
    assert sent["allow_patterns"] == ["README.md", "model.safetensors"]


def test_what_was_to_be_private_never_goes_to_a_public_repository(model):
    hub = FakeHub(stands=True)
    with pytest.raises(ConfigError, match="is public; nothing was uploaded"):
        push(plan_upload(model, "me/demo", "model", private=True), hub)
    assert [name for name, *_ in hub.calls] == ["create"]


def test_left_out_examples_of_a_mixture_are_not_published(tmp_path):
    part = tmp_path / "language=fr" / "part-00000.parquet"
    part.parent.mkdir()
    for path in (part, tmp_path / "quarantine.jsonl", tmp_path / "overlap.jsonl", tmp_path / "slices.jsonl"):
        path.write_text("x")
    (tmp_path / "README.md").write_text(CARD)
    upload = plan_upload(tmp_path, "me/mixture", "dataset", patterns=MIXTURE_FILES)
    assert [name for name, _ in upload.files] == ["README.md", "language=fr/part-00000.parquet", "slices.jsonl"]


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (None, "missing"),
        ("# No header\n", "no header"),
        ("---\nlanguage: [fr\n---\n", "could not read"),
        ("---\nmodel-index:\n- name: x\n  results:\n  - task: 1\n---\n", "could not read"),
    ],
)
def test_a_card_that_the_hub_cannot_read_is_one_line(model, card, message):
    (model / "README.md").unlink()
    (model / "config.json").write_text("{}")
    if card is not None:
        (model / "README.md").write_text(card)
    with pytest.raises(DataError, match=message) as caught:
        plan_upload(model, "me/demo", "model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("repo", ["a/b/c", "me/../x", "me/de mo", ""])
def test_a_bad_id_is_one_line(repo):
    with pytest.raises(ConfigError, match="not a repository id"):
        check_target(repo, dry_run=True)


def test_without_a_token_or_offline_nothing_is_begun(monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    check_target("me/demo", dry_run=True)
    with pytest.raises(UserError, match="no token for the hub"):
        check_target("me/demo", dry_run=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        check_target("me/demo", dry_run=False)


@pytest.fixture
def refusing():
    """A hub that answers every request with a status."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(self.server.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Refuse)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "message"), [(401, "rejects this token"), (403, "has no write access"), (400, "the hub refused")]
)
def test_the_real_clients_refusals_are_one_line(model, refusing, status, message):
    refusing.status = status
    api = HfApi(endpoint=f"http://127.0.0.1:{refusing.server_port}", token="hf_x")
    with pytest.raises(UserError, match=message) as caught:
        push(plan_upload(model, "me/demo", "model"), api)
    assert "\n" not in str(caught.value)


def test_a_hub_out_of_reach_is_one_line(model):
    with pytest.raises(UserError, match="the hub cannot be reached"):
        push(plan_upload(model, "me/demo", "model"), HfApi(endpoint="http://127.0.0.1:9", token="hf_x"))
