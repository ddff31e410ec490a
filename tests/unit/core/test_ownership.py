"""Commands that are killed while they say whose a folder is."""

import socket
from pathlib import Path

import pytest

from xmtf.artefacts.ownership import MARKER, claim, stage_of
from xmtf.artefacts.written_files import WrittenFiles
from xmtf.errors import ConfigError
from xmtf.runs.verify import verify


def test_a_folder_whose_marker_was_being_written_is_ours(tmp_path):
    for name in (f".{MARKER}.{socket.gethostname()}-99999999.tmp", ".lock"):
        (tmp_path / name).write_text("ha")
    claim(tmp_path, "tokens", "token files", hidden=True)
    assert stage_of(tmp_path) == "tokens"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", MARKER]


def test_hidden_files_of_others_are_not(tmp_path):
    for name in (".own.host-12.tmp", f".{MARKER}.mine"):
        path = tmp_path / name
        path.write_text("mine")
        with pytest.raises(ConfigError, match="contains something other"):
            claim(tmp_path, "tokens", "token files", hidden=True)
        path.unlink()


def write(folder, texts, *, whole=True):
    with WrittenFiles(folder, "tables").writing(whole=whole) as temporary:
        for name, text in texts.items():
            (temporary / name).write_text(text)


def test_what_a_marker_alone_names_is_verified(tmp_path):
    write(tmp_path / "tables", {"a.csv": "1", "b.csv": "1"})
    assert (verify(tmp_path).files, verify(tmp_path / "tables").damages) == (2, ())
    (tmp_path / "tables" / "a.csv").write_text("2")
    (damage,) = verify(tmp_path).damages
    assert (damage.path.name, damage.what) == ("a.csv", "does not match its recorded checksum")


@pytest.mark.parametrize("moved", [0, 1, 2])
@pytest.mark.parametrize("whole", [True, False])
def test_files_that_were_being_replaced_are_replaced_again(tmp_path, monkeypatch, moved, whole):
    folder, left = tmp_path / "tables", [moved]
    write(folder, {"a.csv": "1", "b.csv": "1", "old.csv": "1"})
    real = Path.replace

    def replace(path, target):
        if Path(target).parent == folder and path.suffix == ".csv":
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        return real(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", replace)
        write(folder, {"a.csv": "2", "b.csv": "2", "c.csv": "2"}, whole=whole)
    assert sum(path.read_text() == "2" for path in folder.glob("*.csv")) == moved
    write(folder, {"a.csv": "3", "b.csv": "3"}, whole=whole)
    kept = {} if whole else {"old.csv": "1"} | ({"c.csv": "2"} if moved > 2 else {})
    assert {path.name: path.read_text() for path in folder.glob("*.csv")} == {"a.csv": "3", "b.csv": "3"} | kept
    (folder / "a.csv").write_text("mine")
    with pytest.raises(ConfigError, match="was edited after"):
        write(folder, {"a.csv": "4"})
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]
