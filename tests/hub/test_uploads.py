"""Models, mixtures and their cards are published through the real client; a second upload sends what changed."""

import datasets
import pytest
from tests.hub.repositories import blob_id, sha256
from tests.hub.server import READER, WRITER

from xmtf.errors import ConfigError, UserError
from xmtf.upload import MIXTURE_FILES, plan_upload, push

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the client's own HTTP library

CARD = "---\nlanguage: [fr]\n---\n\n# Card\n"


@pytest.fixture
def folder(tmp_path, hub, monkeypatch):
    """A mixture of two parts with its card, and a writer's token."""
    monkeypatch.setenv("HF_TOKEN", WRITER)
    made = tmp_path / "made"
    for name in ("language=fr/part-00000", "language=fr/part-00001"):
        path = made / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict({"inputs": [name], "targets": ["t"]}).to_parquet(path)
    (made / "README.md").write_text(CARD)
    (made / "overlap.jsonl").write_text("{}\n")
    (made / ".secret").write_text("no")
    return made


def send(folder, kind="dataset", **how):
    patterns = MIXTURE_FILES if kind == "dataset" else ("*",)
    return push(plan_upload(folder, "me/demo", kind, private=how.pop("private", False), patterns=patterns))


def test_a_mixture_is_published_read_back_and_then_only_what_changed_is_sent(hub, folder, tmp_path):
    assert send(folder) == f"{hub.url}/datasets/me/demo"
    repository = hub.repositories["dataset", "me/demo"]
    names = ["README.md", "language=fr/part-00000.parquet", "language=fr/part-00001.parquet"]
    assert {name: data for name, data in repository.revisions["main"].items() if name != ".gitattributes"} == {
        name: (folder / name).read_bytes() for name in names
    }
    read = datasets.load_dataset("me/demo", split="train", cache_dir=str(tmp_path / "cache"))
    assert read["inputs"] == ["language=fr/part-00000", "language=fr/part-00001"]

    def commits():
        return len(hub.asked("/commit/", "POST"))

    before, uploads = commits(), len(hub.asked("/upload/", "PUT"))
    assert uploads == 2
    send(folder)
    assert (commits(), len(hub.asked("/upload/", "PUT"))) == (before, uploads)  # nothing changed, nothing is sent

    (folder / "README.md").write_text(CARD + "More.\n")
    (folder / names[2]).unlink()  # a smaller mixture: the second part must not stay
    datasets.Dataset.from_dict({"inputs": ["new"], "targets": ["t"]}).to_parquet(folder / names[1])
    send(folder)
    assert commits() == before + 1
    assert len(hub.asked("/upload/", "PUT")) == uploads + 1
    assert sorted(set(repository.revisions["main"]) - {".gitattributes"}) == names[:2]
    assert sha256(repository.revisions["main"][names[1]]) == sha256((folder / names[1]).read_bytes())


def test_a_model_and_later_its_card_alone(hub, folder, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "README.md").write_text(CARD)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"x" * 5000)
    assert send(model, "model") == f"{hub.url}/me/demo"
    (model / "README.md").write_text(CARD + "Results.\n")
    send(model, "model")
    files = hub.repositories["model", "me/demo"].revisions["main"]
    assert blob_id(files["README.md"]) == blob_id((model / "README.md").read_bytes())
    assert len(hub.asked("/upload/", "PUT")) == 1
    (model / "model.safetensors").unlink()
    for number in (1, 2):
        (model / f"model-0000{number}-of-00002.safetensors").write_bytes(b"y" * number)
    send(model, "model")
    assert sorted(name for name in files if "safetensors" in name) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_private_stays_private_and_refusals_are_one_line(hub, folder, monkeypatch):
    send(folder, private=True)
    assert hub.repositories["dataset", "me/demo"].private
    send(folder, private=True)
    hub.repositories["dataset", "me/demo"].private = False
    with pytest.raises(ConfigError, match="is public; nothing was uploaded"):
        send(folder, private=True)
    hub.faults["/commit/"] += [500] * 9
    (folder / "README.md").write_text(CARD + "More.\n")
    with pytest.raises(UserError, match="the hub refused") as caught:
        send(folder)
    assert "\n" not in str(caught.value)
    hub.faults.clear()
    hub.faults["/upload/"] += [400] * 9
    (folder / "language=fr/part-00000.parquet").write_bytes(b"another")
    with pytest.raises(UserError, match=r"Error while uploading 'language=fr/part-00000\.parquet'.* the hub refused"):
        send(folder)
    hub.faults.clear()
    monkeypatch.setenv("HF_TOKEN", READER)
    with pytest.raises(UserError, match="has no write access"):
        send(folder)
