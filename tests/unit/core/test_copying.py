"""Stages of a run go to an address as they finish: what was cut short is no result there, and is copied again."""

import pytest

from xmtf.cli.app import _run as xmtf
from xmtf.errors import ConfigError, DataError, SourceError, UserError
from xmtf.files import MANIFEST
from xmtf.recipe import load_recipe
from xmtf.recipe.starting import start_folder
from xmtf.remote.storage import copy_down, open_storage
from xmtf.runs.copying import copies_to
from xmtf.runs.pipeline import run_recipe


@pytest.fixture
def loaded(tmp_path):
    start_folder(tmp_path / "mine")
    return load_recipe(tmp_path / "mine" / "recipe.yaml", [f"run_folder={tmp_path / 'run'}", "training.steps=2"])


def test_finished_stages_are_copied_and_one_cut_short_again(loaded, address, tmp_path, monkeypatch):
    storage, _ = open_storage(address)
    plain, broken = storage.put_file, []

    def cut(local, place, *args, **kwargs):
        if place.endswith("manifest.json") and "/tokens/" in place and not broken:
            broken.append(place)
            raise OSError("connection lost")
        return plain(local, place, *args, **kwargs)

    monkeypatch.setattr(storage, "put_file", cut)  # fsspec gives the same object again
    with pytest.raises(UserError, match="connection lost"):
        run_recipe(loaded, until="tokens", keep=copies_to(loaded.run, address))
    with pytest.raises(SourceError, match="no finished folder"):
        copy_down(f"{address}/tokens", tmp_path / "tokens")
    run_recipe(loaded, until="tokens", keep=copies_to(loaded.run, address))
    for name in ("mixture", "tokens"):
        copy_down(f"{address}/{name}", tmp_path / "back" / name)
        assert (tmp_path / "back" / name / MANIFEST).read_bytes() == (loaded.run.path / name / MANIFEST).read_bytes()


def test_nothing_is_copied_twice_and_the_card_follows_the_report(loaded, tmp_path, monkeypatch, capsys):
    address = f"file://{tmp_path}/storage"
    command = ["run", str(loaded.path), f"run_folder={loaded.run.path}", "training.steps=2", "--copy-to", address]
    assert xmtf(command) == 0
    assert capsys.readouterr().err.count(": copied to file://") == 5  # mixture, tokens, initial, train, report
    card = (loaded.run.model / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "storage" / "model" / "README.md").read_text(encoding="utf-8") == card
    assert xmtf(command) == 0
    assert ": copied to" not in capsys.readouterr().err


def test_a_wrong_address_is_one_line_before_any_work(loaded, capsys):
    command = ["run", str(loaded.path), f"run_folder={loaded.run.path}", "--copy-to"]
    assert xmtf([*command, "nowhere://bucket/x"]) == 2
    assert "nowhere://bucket/x" in capsys.readouterr().err
    assert xmtf([*command, "s3://key:secret@bucket/x"]) == 2
    assert "secret" not in capsys.readouterr().err
    assert xmtf([*command, "file:///x", "--estimate"]) == 2
    assert not loaded.run.path.exists()


def test_a_folder_that_was_changed_is_not_copied(loaded, tmp_path):
    keep = copies_to(loaded.run, f"file://{tmp_path}/storage")
    run_recipe(loaded, until="mixture")
    (next(loaded.run.mixture.glob("language=*/*.parquet"))).write_bytes(b"x")
    with pytest.raises(DataError):
        keep("mixture")


def test_finished_folders_of_another_run_are_never_overwritten_in_silence(loaded, address, tmp_path):
    run_recipe(loaded, until="mixture", keep=copies_to(loaded.run, address))
    copies_to(loaded.run, address)  # its own folders are no hindrance
    other = load_recipe(loaded.path, [f"run_folder={tmp_path / 'other'}", "seed=7"])
    with pytest.raises(ConfigError, match=r"mixture: a finished folder that is not the one in .*other"):
        copies_to(other.run, address)
    run_recipe(other, until="mixture", keep=copies_to(other.run, address, replace=True))
    copy_down(f"{address}/mixture", tmp_path / "back")
    assert (tmp_path / "back" / MANIFEST).read_bytes() == (other.run.mixture / MANIFEST).read_bytes()
