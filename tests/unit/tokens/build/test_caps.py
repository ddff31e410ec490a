"""Caps in tokens: exact by the recipe's tokenizer, the same bytes on every engine and after a kill."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.unit.tokens.conftest import capitals, write_mixture

import xmtf.tokens.build.merge
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.files import Manifest
from xmtf.mixture.validation import held_out_rows, validation_limits
from xmtf.recipe.load import LoadedRecipe
from xmtf.tokens import open_store, tokenize_mixture
from xmtf.tokens.build.caps import OVER_LANGUAGE, OVER_TASK, within_caps
from xmtf.tokens.store.prefixes import store_prefix

Recipe = Callable[..., LoadedRecipe]

TASKS, LANGUAGES = (
    "tokens.cap_tokens.tasks={'*/facts': 700, '*': 9e9 tokens}",
    "tokens.cap_tokens.languages={eng: 1000}",
)


@pytest.fixture(scope="module")
def of_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a mixture of two tasks in three languages."""
    rows = {code: [(*row, f"capitals/{row[2]}") for row in texts] for code, texts in capitals().items()}
    return write_mixture(tmp_path_factory.mktemp("capped") / "mixture", rows)


def _sizes(folder: Path, language: str) -> np.ndarray:
    files = store_prefix(folder, "small", language)
    return open_store(files.inputs).index.sizes + open_store(files.targets).index.sizes


def test_the_first_examples_are_kept_while_they_fit() -> None:
    tasks, tokens = np.array([0, 1, 0, 0, 1]), np.array([4, 3, 5, 2, 6])
    of_task, kept = within_caps(tasks, tokens, {0: 10}, 11)
    assert of_task.tolist() == [True, True, True, False, True]
    assert kept.tolist() == [True, True, False, False, False]
    assert within_caps(tasks, tokens, {0: 11, 1: 9}, None)[1].all()


def test_tasks_and_languages_hold_at_most_so_many_tokens(of_tasks: Path, recipe: Recipe, tmp_path: Path) -> None:
    whole = tokenize_mixture(recipe(), of_tasks, tmp_path / "whole", family="causal")
    named = f"tokens.tokenizer={{path: {tmp_path / 'whole' / 'tokenizer'}}}"
    capped = tokenize_mixture(recipe(named, TASKS, LANGUAGES), of_tasks, tmp_path / "capped", family="causal")
    limits, found = validation_limits(of_tasks, 0.1), dict[str, int]()
    for language in ("en", "fr", "hi"):
        table = pq.read_table(of_tasks / f"language={language}")
        is_held_out = held_out_rows(table, limits[language])
        tasks = np.array(table["task"].filter(~is_held_out).to_pylist())
        sizes = _sizes(tmp_path / "whole", language).astype(np.int64)
        wanted, totals, total = list[int](), {"capitals/facts": 0, "capitals/topic": 0}, 0
        full, ended = set[str](), False
        for task, size in zip(tasks, sizes, strict=False):
            if task in full or totals[task] + size > (700 if task == "capitals/facts" else 9e9):
                full.add(task)
                continue
            totals[task] += size
            ended = ended or (language == "en" and total + size > 1000)
            if not ended:
                wanted.append(size)
                total += size
        assert full == ({"capitals/facts"} if language != "hi" else full)
        held = _sizes(tmp_path / "capped", language)
        assert held.tolist() == [*wanted, *sizes[len(tasks) :]]
        counts = capped.details["languages"][language]
        assert counts["input_tokens"] + counts["target_tokens"] == sum(held)
        assert counts["out"] == len(held) == counts["in"] - sum(counts["dropped"].values())
        assert counts["validation"] == whole.details["languages"][language]["validation"] == is_held_out.sum()
        found[language] = counts["dropped"].get(OVER_LANGUAGE, 0)
        assert len(np.load(store_prefix(tmp_path / "capped", "small", language).clusters)) == len(held)
    assert found["en"] > 0 == found["fr"] == found["hi"]
    assert capped.counts["dropped"][OVER_TASK] > 0
    assert capped.counts["out"] == capped.counts["in"] - sum(capped.counts["dropped"].values())
    assert capped.counts["bytes"] == sum(each["bytes"] for each in capped.details["languages"].values())
    assert capped.counts["bytes"] < whole.counts["bytes"]


def test_the_same_bytes_in_a_pool_and_after_a_kill(
    of_tasks: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(name: str, *more: str) -> Manifest:
        return tokenize_mixture(recipe(TASKS, LANGUAGES, *more), of_tasks, tmp_path / name, family="causal")

    inline, merge_language, done = build("inline"), xmtf.tokens.build.merge.merge_language, list[object]()
    assert build("pool", "execution.engine=pool", "execution.workers=2").outputs == inline.outputs

    def fails_on_the_second(spec: dict[str, object], folder: Path) -> dict[str, object]:
        if done:
            raise KeyboardInterrupt
        done.append(spec)
        return merge_language(spec, folder)

    monkeypatch.setattr(xmtf.tokens.build.merge, "merge_language", fails_on_the_second)
    with pytest.raises(KeyboardInterrupt):
        build("killed")
    monkeypatch.undo()
    assert build("killed").outputs == inline.outputs
    assert build("killed").counts == inline.counts


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("tokens.cap_tokens.tasks={'xnli/*': 5}", UnknownNameError, r"cap_tokens.tasks: unknown task 'xnli/\*'"),
        ("tokens.cap_tokens.languages={sw: 5}", UnknownNameError, "cap_tokens.languages: unknown language 'sw'"),
        ("tokens.cap_tokens.tasks={'*/facts': 2}", ConfigError, "2 tokens leave nothing of task capitals/facts in en"),
        ("tokens.cap_tokens.languages={fr: 2}", ConfigError, "2 tokens leave nothing of fr, whose first example has"),
        ("tokens.cap_tokens.languages={en: 5, eng: 6}", ConfigError, "two of en, eng name the same language"),
        ("tokens.cap_tokens={}", ConfigError, "give `tasks` or `languages`"),
        ("tokens.cap_tokens.tasks={'*': 0}", ConfigError, "greater than or equal to 1"),
        ("tokens.cap_tokens.tasks={'*': 5 steps}", ConfigError, "not a number of tokens"),
    ],
)
def test_caps_that_cannot_be_meant_are_refused(
    of_tasks: Path, recipe: Recipe, tmp_path: Path, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        tokenize_mixture(recipe(override), of_tasks, tmp_path / "tokens", family="causal")
