"""What there is to see, and that no more than a page of it is sent."""

import shutil
from functools import partial

import pytest

from xmtf.errors import ConfigError, UnknownNameError, UserError
from xmtf.studio.place import open_place
from xmtf.studio.session import Session


def test_files_are_listed_with_their_tasks_languages_and_states(studio) -> None:
    found = studio.get("collection")
    assert found["kind"] == "folder"
    assert found["writable"]
    entries = {entry["key"]: entry for entry in found["entries"]}
    assert set(entries) == {"toy", "plain"}
    toy = entries["toy"]
    assert (toy["task"], toy["cluster"], toy["templates"], toy["states"]) == ("toy", "sentiment", 2, {"original": 2})
    assert toy["languages"] == [
        {"code": "en", "name": "English", "rtl": False, "templates": 2, "states": {"original": 2}}
    ]
    assert entries["plain"]["task"] is None


def test_a_folder_that_holds_its_file_itself_is_that_file(studio, tmp_path, capsys) -> None:
    (tmp_path / "templates.yaml").write_text(studio.PLAIN, encoding="utf-8")
    place = open_place(str(tmp_path), {})
    assert (place.kind, list(place.files)) == ("file", ["templates.yaml"])
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "templates.yaml").write_text(studio.KEYED, encoding="utf-8")
    assert list(open_place(str(tmp_path), {}).files) == ["toy"]
    assert "templates.yaml: skipped" in capsys.readouterr().err


def test_files_that_are_added_and_taken_away_meanwhile(studio, monkeypatch) -> None:
    mine = studio.folder / "mine"
    look = partial(open_place, str(mine), {task.id: task for task in studio.session.place.files["toy"].tasks})
    monkeypatch.setattr(studio.session, "place", studio.session.place)
    monkeypatch.setattr(studio.session, "reopen", look)
    (mine / "later").mkdir()
    (mine / "later" / "templates.yaml").write_text(studio.PLAIN, encoding="utf-8")
    assert studio.ask("GET", "templates?key=later", 404)["error"]["code"] == "unknown-name"  # none has looked yet
    assert [entry["key"] for entry in studio.get("collection")["entries"]] == ["later", "plain", "toy"]
    assert len(studio.get("templates", key="later")["templates"]) == 2
    shutil.rmtree(mine / "later")
    found = studio.get("overview")["entries"]
    assert [(entry["key"], entry["task"]) for entry in found] == [("plain", None), ("toy", "toy")]
    mine.rename(studio.folder / "elsewhere")
    try:
        found = studio.get("collection")["entries"]
        assert len(found) == 2
        assert all("templates.yaml" in entry["problem"] for entry in found)
    finally:
        (studio.folder / "elsewhere").rename(mine)


def test_rows_come_by_page_and_are_searched(studio) -> None:
    page = studio.get("rows", key="toy", offset=9_990, limit=50)
    assert (page["total"], page["matched"], len(page["rows"])) == (10_000, 10_000, 10)
    assert page["splits"] == ["train", "test"]
    assert [column["name"] for column in page["columns"]] == ["text", "label", "big", "tags"]
    assert page["rows"][0]["index"] == 9_990
    assert page["rows"][0]["cells"][2]["text"] == str(2**60 + 9_990)  # no digit is lost in a browser
    found = studio.get("rows", key="toy", query="ROW 999 STRASSE")
    assert found["matched"] == 0  # ß is no ss
    found = studio.get("rows", key="toy", query="ROW 999 straße")
    assert (found["matched"], found["rows"][0]["index"]) == (1, 999)
    found = studio.get("rows", key="toy", query="t77", limit=2)
    assert found["matched"] == 111
    assert len(found["rows"]) == 2
    assert studio.client.get("/api/rows", params={"key": "toy", "limit": "100000"}).status_code == 422
    row = studio.get("row", key="toy", index=5)["row"]
    assert row == {"text": "row 5 Straße", "label": 1, "big": str(2**60 + 5), "tags": ["t5"]}


def test_rows_that_are_not_there_are_a_line(studio) -> None:
    page = studio.get("rows", key="toy", split="test")
    assert page["rows"] == []
    assert "missing.jsonl" in page["message"]
    assert "--task" in studio.get("rows", key="plain")["message"]
    assert studio.ask("GET", "row?key=toy&index=10000", 400)["error"]["message"].startswith(
        "toy [train] has 10000 rows"
    )


@pytest.mark.parametrize(
    "key",
    ["", ".", "..", "../mine/toy", "toy/../toy", "/etc", "toy/", "%2e%2e", "..\\toy", "toy\0", "mine/toy", "TOY"],
)
def test_no_key_leads_out_of_the_collection(studio, key: str) -> None:
    for path in ("templates", "rows", "diff"):
        answer = studio.client.get(f"/api/{path}", params={"key": key})
        assert answer.status_code in (404, 422), answer.text
    body = {"key": key, "version": "", "template": {"jinja": "a ||| b", "name": "n"}}
    assert studio.client.put("/api/templates", json=body).status_code == 404
    assert studio.client.post("/api/keep", json={"key": key, "text": "templates: []"}).status_code == 404


def test_links_that_lead_out_are_not_served(tmp_path, capfd) -> None:
    (tmp_path / "outside.yaml").write_text("templates:\n  - {name: a, jinja: 'a ||| b'}\n", encoding="utf-8")
    inside = tmp_path / "collection"
    for key in ("good", "bad"):
        (inside / key).mkdir(parents=True)
    (inside / "good" / "templates.yaml").write_text("templates:\n  - {name: a, jinja: 'a ||| b'}\n", encoding="utf-8")
    (inside / "bad" / "templates.yaml").symlink_to(tmp_path / "outside.yaml")
    assert set(open_place(str(inside), {}).files) == {"good"}
    assert "bad: skipped" in capfd.readouterr().err


def test_ours_are_read_only_unless_a_folder_is_named(tmp_path) -> None:
    ours = open_place("paws-x", {})
    assert "--out DIR" in ours.files["paws-x"].read_only
    copied = open_place("paws-x", {}, out=tmp_path)
    assert copied.files["paws-x"].read_only == ""
    assert copied.files["paws-x"].target == tmp_path / "paws-x" / "templates.yaml"


def test_what_is_not_there_is_a_line(tmp_path, studio) -> None:
    for wrong in ({"tokenizers": (str(tmp_path / "no"),)}, {"glossary": tmp_path / "no.yaml"}):
        with pytest.raises(UserError, match="no"):
            Session(studio.session.place, studio.options(**wrong)).check()
    with pytest.raises(UnknownNameError, match="did you mean 'paws-x'"):
        open_place("pawsx", {})
    with pytest.raises(ConfigError, match="no such file"):
        open_place(str(tmp_path / "no.yaml"), {})
    with pytest.raises(ConfigError, match="holds no templates"):
        open_place(str(tmp_path), {})
