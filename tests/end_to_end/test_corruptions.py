"""A battery of damaged files: what is damaged is named in one line, or what is made of it is what it would have been.

Every kind of file that a run writes or reads is flipped at several places, cut, emptied, deleted, lengthened and
replaced by another; then come the verbs that read it. ``make test-slow`` does all of it, the other tests a part.
"""

import gzip
import json
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.cli.app import _run as xmtf
from xmtf.files import file_sha256

TEMPLATES = """\
language: en
templates:
  - name: is it even
    jinja: "Is {{x}} even? ||| {{ answer_choices[x % 2] }}"
    answer_choices: yes ||| no
  - name: parity of
    jinja: "The parity of {{x}}: ||| {{ answer_choices[x % 2] }}"
    answer_choices: even ||| odd
"""
WRITING = """\
language: en
templates:
  - name: after
    jinja: "What comes after {{x}}? ||| {{ y }}"
    metrics: [Exact Match]
"""
RECIPE = """\
name: toy
own_tasks:
  - {id: parity, path: rows.jsonl, templates: parity.yaml, language: en, kind: rank}
  - {id: next, path: next.csv, templates: next.yaml, language: en, kind: generation}
  - {id: more, path: more.parquet, templates: next.yaml, language: en, kind: generation}
  - {id: zipped, path: zipped.jsonl.gz, templates: next.yaml, language: en, kind: generation}
  - {id: asked, path: asked.jsonl, templates: parity.yaml, language: en, kind: rank, role: evaluation, split: test}
  - {id: told, path: told.jsonl, templates: next.yaml, language: en, kind: generation, role: evaluation, split: test}
mixture: {tasks: [{tasks: [parity, next, more, zipped]}], prompted: [{path: xP3}], validation_fraction: 0.2}
tokens: {tokenizer: {train_vocab_size: 300}, packing: {sequence_length: 64}}
model: {architecture: bloom, hidden_size: 16, num_layers: 1, num_heads: 2}
training: {steps: 2, save_every: 1, global_batch_rows: 2, micro_batch_rows: 2, device: cpu, threads: 1}
evaluation:
  samples: 2
  max_new_tokens: 3
  suites:
    - {name: parity, tasks: [{tasks: [asked]}]}
    - {name: writing, tasks: [{tasks: [told]}]}
report: {figures: [svg]}
execution: {engine: inline}
"""


def make_data(folder: Path) -> None:
    """Write one file of each sort that a recipe reads."""
    folder.mkdir()

    def lines(start: int) -> str:
        return "".join(json.dumps({"x": x, "y": f"it is {x + 1}"}) + "\n" for x in range(start, start + 12))

    for name, text in (("parity.yaml", TEMPLATES), ("next.yaml", WRITING), ("recipe.yaml", RECIPE)):
        (folder / name).write_text(text)
    for number, name in enumerate(("rows", "asked", "told")):
        (folder / f"{name}.jsonl").write_text(lines(100 * number))
    (folder / "next.csv").write_text("x,y\n" + "".join(f"{x},it is {x + 1}\n" for x in range(300, 312)))
    pq.write_table(
        pa.table({"x": range(400, 412), "y": [f"it is {x + 1}" for x in range(400, 412)]}), folder / "more.parquet"
    )
    (folder / "zipped.jsonl.gz").write_bytes(gzip.compress(lines(500).encode(), mtime=0))
    (folder / "prompts.jsonl").write_text(lines(600).replace('"x"', '"n"').replace('"y"', '"prompt"'))
    (folder / "xP3" / "en").mkdir(parents=True)
    prompted = [{"inputs": f"Say {x}.", "targets": str(x)} for x in range(12)]
    (folder / "xP3" / "en" / "say.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompted))


def call(*words: object) -> tuple[int, str, str]:
    """Call the command line here; return the exit code and what it printed and said."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = xmtf([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def run(world: Path, *words: object) -> tuple[object, ...]:
    return ("run", world / "data" / "recipe.yaml", f"run_folder={world / 'run'}", *words)


def flipped(place: float) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        at = min(len(content) - 1, int(place * len(content)))
        return content[:at] + bytes([content[at] ^ (1 << at % 7)]) + content[at + 1 :]

    return flip


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "first byte": flipped(0),
    "early bit": flipped(0.13),
    "middle bit": flipped(0.5),
    "late bit": flipped(0.87),
    "last byte": flipped(1),
    "cut in the middle": lambda content: content[: len(content) // 2],
    "cut by a line": lambda content: content[: content.rstrip(b"\n").rfind(b"\n") + 1] or content[:-9],
    "emptied": lambda content: b"",
    "deleted": lambda content: None,
    "of another file": lambda content: b'{"schema": 1, "x": [1, 2, 3]}\n',
    "lengthened": lambda content: content + b"\0\1\2\3 more of it",
}


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        pattern: Finds it below the folder of everything.
        gone: What of the run is deleted first, so that it has to be read again.
        reads: The verbs that read it.
        made: What they make: patterns.
        spare: What it holds can be found anew, so `xmtf verify` need not miss it.
        stands_alone: Nothing but the file says what it should hold: other bytes may be other input, if that is noticed.
    """

    pattern: str
    gone: tuple[str, ...] = ()
    reads: tuple[Callable[[Path], tuple[object, ...]], ...] = ()
    made: tuple[str, ...] = ()
    stands_alone: bool = False
    spare: bool = False


AFTER_TRAINING = ("model", "results/after", "report")
AFTER_TOKENS = ("checkpoints", "model", "results", "report")
TRAINED = ("run/model/model.safetensors", "run/model/tokenizer.json")
MEASURED = ("run/results/*/scores.jsonl", "run/results/*/samples.jsonl")
T_ZERO = ("t-zero/*/*/*/results.json", "t-zero/merged.*")


def pack(world: Path) -> tuple[object, ...]:
    keys = ("tokens.tokenizer.train_vocab_size=300", "execution.engine=inline")
    return ("data", "pack", world / "run" / "mixture", "--out", world / "packed", *keys)


def stats(world: Path) -> tuple[object, ...]:
    return ("data", "stats", world / "run" / "mixture", "--by", "language,task")


def export_rows(world: Path) -> tuple[object, ...]:
    return ("data", "export", world / "run" / "mixture", "--to", world / "rows")


def export(world: Path) -> tuple[object, ...]:
    return ("checkpoint", "export", world / "run", "--out", world / "again")


def tables(world: Path) -> tuple[object, ...]:
    return ("report", "tables", world / "run", "--name", "all")


def compare(world: Path) -> tuple[object, ...]:
    return ("evaluate", "compare", world / "run" / "results" / "before", world / "run" / "results" / "after")


def rescore(world: Path) -> tuple[object, ...]:
    return ("evaluate", "rescore", world / "run" / "results" / "after", "--scoring", "characters")


def loss(world: Path) -> tuple[object, ...]:
    return ("evaluate", "loss", "--model", world / "exported", "--mixture", world / "run" / "mixture", "--part", "all")


def trained(world: Path) -> tuple[object, ...]:
    return run(world, "--until", "train")


def measured(world: Path) -> tuple[object, ...]:
    return run(world, "--until", "after")


def whole(world: Path) -> tuple[object, ...]:
    return run(world)


def verified(world: Path) -> tuple[object, ...]:
    return ("verify", world / "run")


def again(world: Path) -> tuple[object, ...]:
    return ("run", world / "run" / "recipe.yaml", f"run_folder={world / 'run'}", "--until", "after")


def card(world: Path) -> tuple[object, ...]:
    return ("report", "card", world / "run")


def t_zero(world: Path) -> tuple[object, ...]:
    return ("evaluate", "export", world / "run" / "results" / "after", "--out", world / "t-zero")


def answered(world: Path) -> tuple[object, ...]:
    files = ("--file", world / "data" / "prompts.jsonl", "--out", world / "answers.jsonl")
    return ("generate", "--model", world / "exported", *files, "--max-new-tokens", "2")


PACKED = ("packed/*.bin", "packed/*.idx", "packed/*.npy", "packed/tokenizer/*")
WEIGHTS_ON = ("results/after", "report")
KINDS = {
    "mixture shard": Kind("run/mixture/language=*/*.parquet", (), (pack, stats, export_rows), (*PACKED, "rows/*/*")),
    "composition": Kind("run/mixture/composition.jsonl", (), (stats, card, tables)),
    "slices": Kind("run/mixture/slices.jsonl", (), (stats, card, tables)),
    "manifest of a mixture": Kind("run/mixture/manifest.json", (), (stats, pack, tables), PACKED),
    "token ids": Kind("run/tokens/*.bin", AFTER_TOKENS, (trained,), TRAINED),
    "token index": Kind("run/tokens/*.idx", AFTER_TOKENS, (trained,), TRAINED),
    "clusters of tokens": Kind("run/tokens/*.npy", AFTER_TOKENS, (trained,), TRAINED),
    "tokenizer of tokens": Kind("run/tokens/tokenizer/tokenizer.json", AFTER_TOKENS, (trained,), TRAINED),
    "manifest of tokens": Kind("run/tokens/manifest.json", AFTER_TOKENS, (trained,), TRAINED),
    "initial weights": Kind("run/initial/model.safetensors", AFTER_TOKENS, (trained,), TRAINED),
    "initial configuration": Kind("run/initial/config.json", AFTER_TOKENS, (trained,), TRAINED),
    "manifest of initial weights": Kind("run/initial/manifest.json", AFTER_TOKENS, (trained,), TRAINED),
    "shard of a checkpoint": Kind(
        "run/checkpoints/step-000002/*.safetensors", AFTER_TRAINING, (export, trained), TRAINED
    ),
    "state of a checkpoint": Kind("run/checkpoints/step-000002/state.json", AFTER_TRAINING, (export, trained), TRAINED),
    "tokenizer of checkpoints": Kind("run/checkpoints/tokenizer/tokenizer.json", (), (export,), ("again/*.json",)),
    "weights of a model": Kind("run/model/model.safetensors", WEIGHTS_ON, (measured,), MEASURED),
    "configuration of a model": Kind("run/model/config.json", WEIGHTS_ON, (measured,), MEASURED),
    "tokenizer of a model": Kind("run/model/tokenizer.json", WEIGHTS_ON, (measured,), MEASURED),
    "manifest of a model": Kind("run/model/manifest.json", WEIGHTS_ON, (export, measured), MEASURED),
    "journal": Kind(
        "run/results/after/answers-*.jsonl", ("results/after/manifest.json",), (measured,), MEASURED, spare=True
    ),
    "scores": Kind("run/results/after/scores.jsonl", (), (tables, compare, rescore, t_zero), T_ZERO),
    "items": Kind("run/results/after/items/*.parquet", (), (tables, compare, rescore)),
    "samples": Kind("run/results/after/samples.jsonl", (), (tables, card)),
    "manifest of results": Kind("run/results/after/manifest.json", (), (tables, compare, rescore)),
    "page": Kind("run/report/index.html", (), (whole, verified), ("run/report/tables/*.csv",)),
    "table": Kind("run/report/tables/results.csv", (), (whole, verified), ("run/report/tables/*.csv",)),
    "recipe of a run": Kind("run/recipe.yaml", (), (tables, card, again), MEASURED),
    "log": Kind("run/log.jsonl", ("report",), (tables, whole), ("run/report/tables/*.csv",), spare=True),
    "marker": Kind("run/.xmtf.json", (), (measured,), MEASURED),
    "marker of checkpoints": Kind("run/checkpoints/.xmtf.json", (), (measured,), MEASURED),
    "marker of results": Kind("run/results/after/.xmtf.json", (), (measured,), MEASURED),
    "journal of finished results": Kind("run/results/after/answers-*.jsonl", (), (measured,), MEASURED),
    "exported weights": Kind("exported/model.safetensors", (), (loss,)),
    "exported configuration": Kind("exported/config.json", (), (loss,)),
    "exported tokenizer": Kind("exported/tokenizer.json", (), (loss,)),
    "manifest of an export": Kind("exported/manifest.json", (), (loss,)),
    "own JSONL": Kind("data/rows.jsonl", (), (measured,), stands_alone=True),
    "own CSV": Kind("data/next.csv", (), (measured,), stands_alone=True),
    "own Parquet": Kind("data/more.parquet", (), (measured,), stands_alone=True),
    "own JSONL, zipped": Kind("data/zipped.jsonl.gz", (), (measured,), stands_alone=True),
    "own templates": Kind("data/parity.yaml", (), (measured,), stands_alone=True),
    "recipe": Kind("data/recipe.yaml", (), (measured,), stands_alone=True),
    "prompted folder": Kind("data/xP3/en/say.jsonl", (), (measured,), stands_alone=True),
    "prompts": Kind("data/prompts.jsonl", (), (answered,), stands_alone=True),
}
TRIES = [(kind, damage) for kind in KINDS for damage in DAMAGES]
QUICK = [try_ for number, try_ in enumerate(TRIES) if number % 11 == number // 11 % 11]
"""One try of each kind of file, with another damage each."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data, a finished run of them and an exported checkpoint."""
    folder = tmp_path_factory.mktemp("world")
    make_data(folder / "data")
    for words in (run(folder), ("checkpoint", "export", folder / "run", "--out", folder / "exported")):
        code, _, said = call(*words)
        assert code == 0, said
    return folder


def copied(world: Path, folder: Path, kind: Kind) -> Path:
    shutil.copytree(world, folder)
    for name in kind.gone:
        path = folder / "run" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def made(world: Path, kind: Kind) -> dict[str, str]:
    found = {path for pattern in kind.made for path in world.glob(pattern) if path.is_file()}
    return {str(path.relative_to(world)): file_sha256(path) for path in sorted(found)}


_REFERENCE: dict[str, tuple[list[str], dict[str, str]]] = {}


def plain(text: str, world: Path) -> str:
    return re.sub(r"\d+\.\d+ s\b", "s", text.replace(str(world), ""))


def reference(world: Path, folder: Path, name: str) -> tuple[list[str], dict[str, str]]:
    """Return what the verbs print and make where nothing is damaged."""
    if name not in _REFERENCE:
        place, kind = copied(world, folder, KINDS[name]), KINDS[name]
        printed = []
        for words in kind.reads:
            code, out, said = call(*words(place))
            assert code == 0, said
            printed.append(plain(out, place))
        _REFERENCE[name] = printed, made(place, kind)
        shutil.rmtree(place)
    return _REFERENCE[name]


def attempt(world: Path, folder: Path, name: str, damage: str) -> list[str]:
    """Damage one file and call the verbs that read it; return what is wrong with how they took it."""
    kind = KINDS[name]
    expected, expected_made = reference(world, folder / "reference", name)
    place = copied(world, folder / "tried", kind)
    path = sorted(place.glob(kind.pattern))[0]
    before = path.read_bytes()
    after = DAMAGES[damage](before)
    path.unlink()
    if after is not None:
        path.write_bytes(after)
    problems, refused, told = [], False, False
    inside = path.relative_to(place).parts[0] in ("run", "exported")
    if inside:
        code, out, said = call("verify", place / path.relative_to(place).parts[0])
        if "Traceback" in said:
            problems.append(f"verify: {said[-1500:]}")
        elif not kind.spare and (code == 0 or path.name not in out + said):
            problems.append(f"verify: exit {code}, does not name the file: {out[-300:]}{said[-300:]}")
    for words, usual in zip(kind.reads, expected, strict=True):
        code, out, said = call(*words(place))
        shown = f"{words.__name__}: exit {code}: {said[-1200:]}"
        if "Traceback" in said or code not in (0, 1, 2):
            problems.append(shown)
        elif code:
            refused = True
            line = said.strip().splitlines()[-1]
            named = path.name in line or (after is None and str(path.parent) in line)
            if not named and not kind.stands_alone:
                problems.append(f"does not name the file: {shown}")
            break
        else:
            told = told or path.name in said
            if plain(out, place) != usual and not told:
                problems.append(f"prints something else: {out[-500:]} {shown}")
    if not refused and not told and not kind.stands_alone and made(place, kind) != expected_made:
        changed = {key for key, value in made(place, kind).items() if expected_made.get(key) != value}
        problems.append(f"makes something else: {sorted(changed | (expected_made.keys() - made(place, kind).keys()))}")
    shutil.rmtree(place)
    return problems


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMTF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XMTF_PROGRESS", "off")


@pytest.mark.parametrize(("name", "damage"), QUICK)
@pytest.mark.usefixtures("cache")
def test_a_damaged_file_is_named_or_changes_nothing(world: Path, tmp_path: Path, name: str, damage: str) -> None:
    assert attempt(world, tmp_path, name, damage) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "damage"), [try_ for try_ in TRIES if try_ not in QUICK])
@pytest.mark.usefixtures("cache")
def test_every_kind_of_file_under_every_damage(world: Path, tmp_path: Path, name: str, damage: str) -> None:
    assert attempt(world, tmp_path, name, damage) == []
