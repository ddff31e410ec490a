import errno

import pytest

from xmtf.artefacts.ownership import check_ours
from xmtf.errors import ConfigError, DataError, UserError
from xmtf.files import (
    Manifest,
    append_jsonl,
    atomic_folder,
    atomic_path,
    content_hash,
    discard_folder,
    file_sha256,
    is_finished,
    read_json,
    read_jsonl,
    read_manifest,
    slug,
    write_csv,
    write_json,
    write_jsonl,
    write_manifest,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, 1)
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(path) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["value.json"]


def test_a_failed_folder_leaves_the_old_folder_and_nothing_else(tmp_path):
    folder = tmp_path / "artefact"
    with atomic_folder(folder) as temporary:
        (temporary / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(folder) as temporary:
        (temporary / "a").write_text("new")
        raise RuntimeError
    assert (folder / "a").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["artefact"]


def test_a_full_disk_is_said_in_one_line(tmp_path):
    with pytest.raises(UserError, match="the disk is full"), atomic_path(tmp_path / "value") as temporary:
        temporary.write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_content_hash_ignores_the_order_of_keys_but_not_of_lists():
    assert content_hash({"a": [1, 2], "b": None}) == content_hash({"b": None, "a": [1, 2]})
    assert content_hash([1, 2]) != content_hash([2, 1])


def test_slug_keeps_distinct_names_distinct():
    assert len({slug("a b"), slug("a_b"), slug("a/b")}) == 3
    assert slug("plain-name.1") == "plain-name.1"
    assert "/" not in slug("../../etc/passwd")
    assert not slug("../x").startswith(".")


def test_jsonl_names_the_bad_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": 1}])
    append_jsonl(path, {"a": 2})
    assert list(read_jsonl(path)) == [{"a": 1}, {"a": 2}]
    with path.open("a") as stream:
        stream.write("{broken\n")
    with pytest.raises(DataError, match="line 3"):
        list(read_jsonl(path))


def test_a_manifest_marks_a_folder_as_finished(tmp_path):
    assert not is_finished(tmp_path, "f")
    (tmp_path / "part").write_text("x")
    manifest = Manifest("mixture", "f", outputs={"part": file_sha256(tmp_path / "part")}, counts={"out": 1})
    write_manifest(tmp_path, manifest)
    assert is_finished(tmp_path, "f")
    assert not is_finished(tmp_path, "other")
    assert read_manifest(tmp_path) == manifest


def test_a_manifest_of_another_schema_is_refused(tmp_path):
    write_json(tmp_path / "manifest.json", {"schema": 99})
    with pytest.raises(DataError, match="not a manifest of schema 1"):
        read_manifest(tmp_path)


def test_a_folder_is_never_half_discarded(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "part").touch()

    def interrupted(path, **options):
        if path.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", interrupted)
        discard_folder(tmp_path / "work")
    assert not (tmp_path / "work").exists()
    discard_folder(tmp_path / "work")  # what was left goes, too
    assert list(tmp_path.iterdir()) == []


def test_what_something_else_wrote_is_never_replaced(tmp_path):
    check_ours(tmp_path / "new", "a report", ("report",))
    check_ours(tmp_path, "a report", ("report",))
    write_manifest(tmp_path, Manifest("report", "f"))
    check_ours(tmp_path, "a report", ("report",))
    with pytest.raises(ConfigError, match=r"contains something other than a mixture of xmtf \(manifest.json\)"):
        check_ours(tmp_path, "a mixture", ("mixture",))
    with pytest.raises(ConfigError, match=r"manifest\.json: is a file, and a report is a folder"):
        check_ours(tmp_path / "manifest.json", "a report", ("report",))
    write_json(tmp_path / "manifest.json", ["of a program that we do not know"])
    with pytest.raises(ConfigError, match="give a new folder"):
        check_ours(tmp_path, "a report", ("report",))


def test_texts_of_csv_tables_are_no_formulas(tmp_path):
    write_csv(tmp_path / "a.csv", [{"=a": "=1+1", "b": "-0.5", "c": -2}, {"=a": "@x", "b": "-", "c": 1.5}])
    assert (tmp_path / "a.csv").read_text() == "'=a,b,c\n'=1+1,-0.5,-2\n'@x,-,1.5\n"
