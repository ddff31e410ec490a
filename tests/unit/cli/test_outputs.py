"""What verbs write: nothing of the user's is overwritten or deleted, whatever an option for an output names.

Every option and argument that names a path stands in a table below; a new one fails the first test until somebody
says what its verb does with it.
"""

import shutil
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from xmtf.artefacts.written_files import WrittenFiles
from xmtf.cli.app import COMMANDS, _import
from xmtf.cli.app import _run as xmtf
from xmtf.files import MANIFEST

OWN = Path(__file__).parents[3] / "examples" / "own-data" / "recipe.yaml"

READ = {
    *((verb, "recipe") for verb in ("run", "data plan", "data build", "data run-task", "data merge", "data fetch")),
    *((verb, "recipe") for verb in ("train", "evaluate code", "evaluate run", "template render", "template lint")),
    *((verb, "recipe") for verb in ("task list", "task show", "task outline", "plan", "launch slurm", "launch local")),
    *((verb, "recipe") for verb in ("recipe show", "checkpoint convert", "launch node")),
    *((f"data {verb}", name) for verb in ("stats", "peek", "card", "export") for name in ("source", "out")),
    *((f"template {verb}", "root") for verb in ("list", "show", "render", "lint")),
    *((f"evaluate {verb}", name) for verb in ("rank", "generation") for name in ("templates", "pins")),
    *((f"evaluate {verb}", name) for verb in ("loss",) for name in ("mixture", "text")),
    *((f"analyze {verb}", "source") for verb in ("contamination", "languages", "taxonomy")),
    *(("recipe diff", name) for name in ("first", "second")),
    ("analyze code", "sources"),
    ("checkpoint convert", "tokens"),
    ("checkpoint choose", "run"),
    ("checkpoint export", "run"),
    ("checkpoint inspect", "checkpoint"),
    ("checkpoint list", "run"),
    ("data pack", "mixture"),
    ("data pack", "source"),
    ("data peek", "tokens"),
    ("data pin", "recipe"),
    ("data stats", "against"),
    ("evaluate code", "modules"),
    ("evaluate generation", "catalogue"),
    ("evaluate rank", "catalogue"),
    ("evaluate export", "results"),
    ("evaluate import", "source"),
    ("evaluate rescore", "folder"),
    ("generate", "file"),
    ("report account", "runs"),
    ("report build", "overlap"),
    ("report card", "source"),
    ("report tables", "overlap"),
    ("template import", "path"),
    ("template import", "source"),
    ("template serve", "glossary"),
    ("template serve", "recipe"),
    ("template translate", "glossary"),
    ("template translate", "to"),
    ("train", "data"),
    ("train", "tokens"),
    ("verify", "folder"),
    ("watch", "runs"),
}
ADDED_TO = {
    ("data fetch", "to"),
    ("data split-files", "tokens"),
    *(("template translate", name) for name in ("out", "memory", "report")),
    *(("template serve", name) for name in ("out", "memory")),  # tests/unit/studio
    ("init", "folder"),
    ("recipe copy", "to"),
    ("recipe schema", "out"),  # test_starting.py
}
"""Files are added; the tests below the tables are about them."""
_SUITE = ("--model", "none", "--suite", "cldr-kinds/fr", "--out", "{out}")
FILES = {
    "data pin": ("{recipe}", "--out", "{out}"),
    "evaluate loss": ("--model", "none", "--mixture", "none", "--out", "{out}"),
    "evaluate rescore": ("none", "--out", "{out}"),
    "generate": ("--model", "none", "--file", "none.jsonl", "--out", "{out}"),
    "report account": ("none", "--out", "{out}"),
    "report card": ("none", "--out", "{out}"),
    "template export": ("none", "--format", "csv", "--out", "{out}"),
}
FOLDERS = {
    "analyze code": ("none", "--out", "{out}"),
    "analyze contamination": ("none", "--out", "{out}"),
    "analyze edit-distance": ("--out", "{out}"),
    "analyze languages": ("none", "--out", "{out}"),
    "analyze taxonomy": ("none", "--out", "{out}"),
    "checkpoint convert": ("none", "--out", "{out}"),
    "checkpoint choose": ("none", "--out", "{out}"),
    "checkpoint export": ("none", "--out", "{out}"),
    "data build": ("{recipe}", "--out", "{out}"),
    "data export": ("{mixture}", "--to", "{out}"),
    "data merge": ("{recipe}", "--out", "{out}"),
    "data pack": ("{mixture}", "--out", "{out}"),
    "data plan": ("{recipe}", "--write", "--out", "{out}"),
    "data run-task": ("{recipe}", "--out", "{out}"),
    "evaluate code": ("--unsafe", *_SUITE),
    "evaluate export": ("none", "--out", "{out}"),
    "evaluate generation": _SUITE,
    "evaluate import": ("none", "--out", "{out}"),
    "evaluate rank": _SUITE,
    "evaluate run": ("{recipe}", "--model", "none", "--out", "{out}"),
    "launch local": ("{recipe}", "run_folder={out}"),
    "launch slurm": ("{recipe}", "--out", "{out}"),
    "report build": ("none", "--out", "{out}"),
    "report figures": ("none", "--out", "{out}"),
    "report tables": ("none", "--out", "{out}"),
    "run": ("{recipe}", "run_folder={out}"),
    "train": ("{recipe}", "--tokens", "{tokens}", "--out", "{out}"),
}
"""Verbs that write a file or a folder, and arguments with which they would come to write it."""
_NAMED = {"data export": "to", "launch local": "recipe", "run": "recipe"}
_SAYS_NOTHING_OF_IT = {"data run-task"}
"""Without a plan that was written before there is nothing that it could do."""


def verbs() -> Iterator[tuple[str, typing.Any]]:
    for noun, (target, _) in COMMANDS.items():
        found = _import(target)
        if not isinstance(found, typer.Typer):
            yield noun, found
            continue
        for verb in found.registered_commands:
            yield f"{noun} {verb.name or verb.callback.__name__}", verb.callback


def paths() -> set[tuple[str, str]]:
    """Return verb and name of every option and argument that is a path, or sounds like a place to write to."""
    return {
        (verb, name)
        for verb, callback in verbs()
        for name, hint in typing.get_type_hints(callback).items()
        if name != "return" and ("pathlib" in str(hint) or name in ("out", "to", "output"))
    }


def test_every_path_of_every_verb_is_read_or_has_a_row_in_the_tables_of_what_is_written():
    written = {(verb, _NAMED.get(verb, "out")) for verb in (FILES | FOLDERS)}
    assert paths() == READ | ADDED_TO | written


def snapshot(folder):
    return {
        path.relative_to(folder): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    } | {path.relative_to(folder): None for path in folder.rglob("*") if path.is_dir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return folders of a mixture and of token files."""
    folder = tmp_path_factory.mktemp("made")
    assert xmtf(["data", "build", str(OWN), "--out", str(folder / "mixture"), "execution.engine=inline"]) == 0
    pack = ["data", "pack", str(folder / "mixture"), "--out", str(folder / "tokens"), "execution.engine=inline"]
    assert xmtf([*pack, "tokens.tokenizer.train_vocab_size=300"]) == 0
    return folder


@pytest.fixture
def users(tmp_path, monkeypatch):
    """Return a folder of the user's, whose files no command knows."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    for name in ("notes.txt", "recipe.yaml", "results.json", "config.json", "scores.jsonl", "sub/a.csv"):
        (folder / name).write_text("mine")
    (tmp_path / "link").symlink_to(folder)
    return folder


def call(verb, arguments, out, made):
    places = {"out": out, "recipe": OWN, "mixture": made / "mixture", "tokens": made / "tokens"}
    return xmtf([*verb.split(), *(argument.format(**places) for argument in arguments)])


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_folder_or_file_of_the_users_is_refused_by_name_and_stays(made, users, capsys, verb):
    before = snapshot(users.parent)
    for out in (users, users.parent / "link", users / "notes.txt"):
        assert call(verb, FOLDERS[verb], out, made) in ((1,) if verb in _SAYS_NOTHING_OF_IT else (2,)), out
        said = capsys.readouterr().err.splitlines()[-1]
        assert verb in _SAYS_NOTHING_OF_IT or str(out) in said
        assert "Traceback" not in said
        assert snapshot(users.parent) == before, out


@pytest.mark.parametrize("verb", FILES)
def test_a_file_of_the_users_is_overwritten_with_replace_alone(made, users, capsys, verb):
    (users.parent / "to-file").symlink_to(users / "notes.txt")
    (users.parent / "to-nothing").symlink_to(users / "nothing")
    before = snapshot(users.parent)
    for out, what in (
        (users / "notes.txt", "already exists"),
        (users.parent / "to-file", "already exists"),
        (users.parent / "to-nothing", "already exists"),
        (users, "is a folder"),
    ):
        assert call(verb, FILES[verb], out, made) == 2
        assert f"{out}: {what}" in capsys.readouterr().err
    assert call(verb, (*FILES[verb], "--replace"), users / "notes.txt", made) in (1, 2)  # there is no such model
    assert "already exists" not in capsys.readouterr().err
    assert snapshot(users.parent) == before


def test_split_files_that_somebody_edited_are_overwritten_with_replace_alone(made, tmp_path, capsys):
    tokens = tmp_path / "tokens"
    shutil.copytree(made / "tokens", tokens)
    split = ["data", "split-files", str(tokens)]
    assert xmtf(split) == 0
    assert xmtf(split) == 0  # the same again
    written = (tokens / "train.txt").read_text()
    (tokens / "train.txt").write_text("mine")
    assert xmtf(split) == 2
    assert f"{tokens / 'train.txt'}: already exists" in capsys.readouterr().err
    assert (tokens / "train.txt").read_text() == "mine"
    assert xmtf([*split, "--replace"]) == 0
    assert (tokens / "train.txt").read_text() == written


def test_what_a_mirror_holds_stays_when_more_is_fetched_into_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "notes.txt").write_text("mine")
    assert xmtf(["data", "fetch", str(OWN), "--to", "mirror"]) == 0
    assert (tmp_path / "mirror" / "notes.txt").read_text() == "mine"


def test_tables_are_written_anew_but_not_over_what_somebody_changed_or_put_there(tmp_path, capsys):
    out = tmp_path / "tables"
    tables = ["report", "tables", "--reference", "--out", str(out), "--name", "models"]
    assert xmtf(tables) == 0
    assert xmtf(tables) == 0
    printed = capsys.readouterr().out.split()
    assert [Path(path).name for path in printed[:3]] == ["models.csv", "models.md", "models.tex"]
    assert all(Path(path).is_file() for path in printed)
    text = (out / "models.tex").read_text()
    (out / "models.tex").write_text("edited")
    (out / "notes.txt").write_text("mine")
    assert xmtf(tables) == 2
    assert f"{out / 'models.tex'}: was edited after xmtf wrote it" in capsys.readouterr().err
    assert (out / "models.tex").read_text() == "edited"
    assert xmtf([*tables, "--replace"]) == 0
    assert (out / "models.tex").read_text() == text
    assert (out / "notes.txt").read_text() == "mine"


def test_files_of_a_verb_take_no_place_of_a_file_that_somebody_put_there(tmp_path):
    files = WrittenFiles(tmp_path / "out", "tables")
    with files.writing() as folder:
        (folder / "a.csv").write_text("1")
    (tmp_path / "out" / "b.csv").write_text("mine")
    files.check()
    with pytest.raises(Exception, match=r"b\.csv: was not written by xmtf"), files.writing() as folder:
        (folder / "a.csv").write_text("2")
        (folder / "b.csv").write_text("2")
    assert [(tmp_path / "out" / name).read_text() for name in ("a.csv", "b.csv")] == ["1", "mine"]
    with files.writing(whole=True) as folder:
        (folder / "c" / "d").mkdir(parents=True)
        (folder / "c" / "d" / "e.csv").write_text("3")
    left = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left == {".xmtf.json", "b.csv", "c/d/e.csv"}
    with pytest.raises(Exception, match="contains something other than figures"):
        WrittenFiles(tmp_path / "out", "figures").check()
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@pytest.mark.parametrize("part", ["tokenizer", "more"])
def test_links_into_folders_that_are_not_ours_are_not_followed(made, users, tmp_path, capsys, part):
    tokens = tmp_path / "tokens"
    shutil.copytree(made / "tokens", tokens)
    shutil.rmtree(tokens / part, ignore_errors=True)
    (tokens / part).symlink_to(users)
    (tokens / MANIFEST).unlink()
    (tokens / ".xmtf.json").write_text('{"stage": "tokens"}')
    before = snapshot(users)
    assert call("data pack", FOLDERS["data pack"], tokens, made) == 2
    assert f"{tokens / part}: is a link to {users}" in capsys.readouterr().err
    assert snapshot(users) == before
