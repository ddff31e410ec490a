"""Batches: a pure function of (seed, step), whoever computes them; splits, weights and corners."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from xmtf.errors import ConfigError, DataError
from xmtf.files import file_sha256, read_manifest, write_manifest
from xmtf.recipe.load import LoadedRecipe
from xmtf.tokens import CausalBatch, EncoderDecoderBatch, open_loader
from xmtf.tokens.rows.loader import Batch
from xmtf.tokens.rows.opening import _weights
from xmtf.tokens.store.prefixes import store_prefix

Recipe = Callable[..., LoadedRecipe]


def _same(one: Batch, other: Batch) -> bool:
    return all(
        np.array_equal(left, right) for left, right in zip(asdict(one).values(), asdict(other).values(), strict=True)
    )


def _stack(batches: list[Batch], field: str) -> np.ndarray:
    return np.concatenate([getattr(batch, field) for batch in batches])


@pytest.mark.parametrize("policy", ["next_fit", "best_fit", "pad"])
def test_same_rows_for_any_number_of_micro_batches(tokens: Path, recipe: Recipe, policy: str) -> None:
    loaded = recipe(f"tokens.packing.policy={policy}")
    whole = open_loader(tokens, loaded, family="causal").batch(3)
    assert isinstance(whole, CausalBatch)
    assert whole.tokens.shape == (8, 65)
    for num_micro in (2, 3, 4, 8):
        loader = open_loader(tokens, loaded, family="causal")
        pieces = [loader.batch(3, micro=micro, num_micro=num_micro) for micro in range(num_micro)]
        for field in ("tokens", "segment_ids", "is_input"):
            assert np.array_equal(_stack(pieces, field), getattr(whole, field))


def test_half_then_the_other_half_is_the_whole(tokens: Path, recipe: Recipe) -> None:
    whole, first, second = (open_loader(tokens, recipe(), family="causal") for _ in range(3))
    halves = [*(first.batch(step) for step in range(10)), *(second.batch(step) for step in range(10, 20))]
    assert all(_same(whole.batch(step), batch) for step, batch in enumerate(halves))


def test_the_seed_decides(tokens: Path, recipe: Recipe) -> None:
    one = open_loader(tokens, recipe("seed=1"), family="causal").batch(0)
    assert not _same(one, open_loader(tokens, recipe("seed=2"), family="causal").batch(0))


def test_segments_are_examples_with_their_group(tokens: Path, recipe: Recipe) -> None:
    loader = open_loader(tokens, recipe(), family="causal")
    for step in range(5):
        batch = loader.batch(step)
        assert isinstance(batch, CausalBatch)
        for tokens_S, ids_S, is_input_S, groups in zip(
            batch.tokens, batch.segment_ids, batch.is_input, batch.groups, strict=True
        ):
            assert (tokens_S[ids_S == 0] == loader.tokenizer.pad).all()
            for number in range(1, int(ids_S.max()) + 1):
                inputs = loader.tokenizer.decode(tokens_S[(ids_S == number) & is_input_S])
                targets = loader.tokenizer.decode(tokens_S[(ids_S == number) & ~is_input_S], keep_special=True)
                language, cluster = loader.group_names[groups[number - 1]]
                begin = {"en": "Name the capital", "fr": "Quelle est", "hi": "देश"}[language]
                assert inputs.startswith(begin)
                assert targets.endswith("</s>")
                number_in_text = next(int(word) for word in targets.replace("<", " ").split() if word.isdigit())
                assert f" {number_in_text}" in inputs
                assert cluster == ("facts" if number_in_text % 3 else "topic")


@pytest.mark.parametrize("policy", ["next_fit", "best_fit", "pad"])
def test_training_and_validation_share_no_example(tokens: Path, recipe: Recipe, policy: str) -> None:
    """The original's validation range read training rows; here head and tail are apart and together all."""
    seen: dict[str, set[tuple[int, ...]]] = {}
    for group in ("train", "validation"):
        loader = open_loader(tokens, recipe(f"tokens.packing.policy={policy}"), group=group, family="causal")  # type: ignore[arg-type]
        seen[group] = set()
        for step in range(80 if group == "train" else loader.available(999)):
            batch = loader.batch(step) if group == "train" else loader.rows(step, step + 1)
            assert isinstance(batch, CausalBatch)
            for tokens_S, ids_S in zip(batch.tokens, batch.segment_ids, strict=True):
                seen[group] |= {tuple(tokens_S[ids_S == k].tolist()) for k in range(1, int(ids_S.max()) + 1)}
    assert len(seen["train"]) == 225 + 108 + 36
    assert len(seen["validation"]) == 25 + 12 + 4
    assert not seen["train"] & seen["validation"]


@pytest.mark.parametrize("policy", ["next_fit", "best_fit", "pad"])
@pytest.mark.parametrize("weights", ["size", "equal"])
def test_validation_reads_every_example_once(tokens: Path, recipe: Recipe, policy: str, weights: str) -> None:
    loaded = recipe(f"tokens.packing.policy={policy}", f"tokens.weights={weights}")
    loader = open_loader(tokens, loaded, group="validation", family="causal")
    rows = loader.available(10_000)
    assert rows < 10_000
    batch = loader.rows(0, rows)
    assert isinstance(batch, CausalBatch)
    assert int(batch.segment_ids.max(axis=1).sum()) == 25 + 12 + 4
    with pytest.raises(ValueError, match=f"there are {rows} rows, not {rows + 1}"):
        loader.rows(0, rows + 1)


def test_weights_are_shares_of_tokens(tokens: Path, recipe: Recipe) -> None:
    loader = open_loader(tokens, recipe("tokens.multipliers.hi=2", "tokens.multipliers.code=1.3"), family="causal")
    sizes = {rows.language: rows.tokens for rows in loader.languages}
    total = sizes["en"] + sizes["fr"] + 2 * sizes["hi"]
    assert loader.weights["hi"] == pytest.approx(2 * sizes["hi"] / total)
    counts = dict.fromkeys(sizes, 0)
    for step in range(25):
        for group in loader.batch(step).groups[:, 0]:
            counts[loader.group_names[group][0]] += 1
    for language, weight in loader.weights.items():
        assert abs(counts[language] - 200 * weight) <= 1.5


def test_given_weights(recipe: Recipe) -> None:
    sizes = {"en": 10, "fr": 10}
    assert _weights(recipe("tokens.weights={en: 3, fra_Latn: 1, sw: 5}").recipe.tokens, sizes) == {
        "en": 0.75,
        "fr": 0.25,
    }
    flat = {
        language: round(share, 6)
        for language, share in _weights(
            recipe("tokens.weights={temperature: 2}").recipe.tokens, {"en": 900, "fr": 100, "none": 0}
        ).items()
    }
    assert flat == {"en": 0.75, "fr": 0.25, "none": 0}
    with pytest.raises(ConfigError, match="give a number from 1"):
        recipe("tokens.weights={temperature: 0.5}")
    with pytest.raises(ConfigError, match="give a temperature, or a weight for each language"):
        recipe("tokens.weights={temperature: 2, fr: 1}")
    assert _weights(recipe("tokens.weights=equal").recipe.tokens, sizes) == {"en": 0.5, "fr": 0.5}
    assert _weights(recipe("tokens.weights={en: 1, fr: 0}").recipe.tokens, sizes) == {"en": 1.0, "fr": 0.0}
    with pytest.raises(ConfigError, match="no weight for fr; give 0"):
        _weights(recipe("tokens.weights={en: 3}").recipe.tokens, sizes)
    with pytest.raises(ConfigError, match=r"the weight of fr is -1\.0"):
        _weights(recipe("tokens.weights={en: 3, fr: -1}").recipe.tokens, sizes)


def test_encoder_decoder_rows(tokens_of_mt5: Path, recipe: Recipe) -> None:
    loader = open_loader(tokens_of_mt5, recipe("tokens.packing.target_length=24"), family="encoder-decoder")
    batch = loader.batch(0)
    assert isinstance(batch, EncoderDecoderBatch)
    assert (batch.encoder_tokens.shape, batch.decoder_targets.shape) == ((8, 64), (8, 24))
    assert loader.tokens_per_row == 88
    for row in range(8):
        for k in range(1, int(batch.encoder_segment_ids[row].max()) + 1):
            targets = batch.decoder_targets[row][batch.decoder_segment_ids[row] == k]
            shifted = batch.decoder_inputs[row][batch.decoder_segment_ids[row] == k]
            assert shifted.tolist() == [0, *targets[:-1]]
            assert targets[-1] == loader.tokenizer.eos
    assert (batch.encoder_segment_ids.max(axis=1) == batch.decoder_segment_ids.max(axis=1)).all()


def test_targets_of_encoder_decoders_are_trimmed_and_counted(
    tokens_of_mt5: Path, tokens: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ("tokens.packing.target_length=4", "tokens.packing.policy=pad")
    skipping = open_loader(tokens_of_mt5, recipe(*short), family="encoder-decoder")
    trimming = open_loader(
        tokens_of_mt5, recipe(*short, "tokens.packing.overlong_targets=truncate"), family="encoder-decoder"
    )
    cut = sum(rows.fitted.cut_targets for rows in trimming.languages)
    assert (skipping.skipped, trimming.skipped) == (cut, 0)
    assert f"train: {cut:,} examples have truncated targets" in capsys.readouterr().err
    assert cut
    batch = trimming.batch(0)
    assert isinstance(batch, EncoderDecoderBatch)
    assert (batch.decoder_targets[(batch.decoder_segment_ids > 0).sum(axis=1) == 4] > 0).any()
    with pytest.raises(ConfigError, match="overlong_targets: truncate is for encoder-decoder models"):
        open_loader(tokens, recipe("tokens.packing.overlong_targets=truncate"), family="causal")


def test_overlong_examples_are_counted_and_a_language_without_rows_is_left_out(
    tokens: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = open_loader(tokens, recipe(), family="causal")
    sizes = {rows.language: rows.fitted.sizes[0] for rows in whole.languages}
    longest = max(sizes, key=lambda code: int(sizes[code].min()))
    capacity = int(sizes[longest].min()) - 1
    expected = {code: int((size > capacity).sum()) for code, size in sizes.items()}
    loader = open_loader(tokens, recipe(f"tokens.packing.sequence_length={capacity - 1}"), family="causal")
    assert longest not in loader.weights
    assert loader.weights
    assert loader.skipped == sum(expected.values())
    said = f"{longest}: skipped in train: none of its {expected[longest]} examples fits a row"
    assert said in capsys.readouterr().err
    with pytest.raises(ConfigError, match="no example of the train group fits a row of 9 tokens"):
        open_loader(tokens, recipe("tokens.packing.sequence_length=8"), family="causal")
    cut = open_loader(
        tokens, recipe("tokens.packing.sequence_length=12", "tokens.packing.overlong=truncate_left"), family="causal"
    )
    assert cut.truncated > 0
    assert (cut.batch(0).tokens.shape, cut.skipped) == ((8, 13), 0)  # type: ignore[union-attr]


def test_fill(tokens: Path, recipe: Recipe) -> None:
    packed = open_loader(tokens, recipe(), family="causal")
    padded = open_loader(tokens, recipe("tokens.packing.policy=pad"), family="causal")
    assert packed.fill > 0.85 > padded.fill
    batch = packed.rows(0, 2048)
    assert isinstance(batch, CausalBatch)
    assert packed.fill == pytest.approx((batch.segment_ids > 0).mean())


def test_more_micro_batches_than_rows(tokens: Path, recipe: Recipe) -> None:
    loader = open_loader(tokens, recipe(), family="causal")
    with pytest.raises(ConfigError, match="8 rows cannot be split into 12 micro-batches"):
        loader.batch(0, micro=0, num_micro=12)


def written_anew(tokens: Path, data: Path) -> None:
    """Let the manifest say that a file was written as it is: what it holds is looked at behind its hash."""
    manifest = read_manifest(tokens)
    name = data.relative_to(tokens).as_posix()
    write_manifest(tokens, replace(manifest, outputs={**manifest.outputs, name: file_sha256(data)}))


def test_the_wrong_family_and_damaged_files(tokens: Path, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contains tokens for a causal model, not encoder-decoder"):
        open_loader(tokens, recipe(), family="encoder-decoder")
    tokens = Path(shutil.copytree(tokens, tmp_path / "damaged"))
    path = store_prefix(tokens, "small", "hi").inputs
    data = path.with_name(path.name + ".bin")
    content = np.fromfile(data, dtype="<u2")
    content[:] = 60_000
    content.tofile(data)
    with pytest.raises(DataError, match=r"small_hi_inputs_document\.bin: does not match its recorded checksum"):
        open_loader(tokens, recipe(), family="causal")
    written_anew(tokens, data)
    with pytest.raises(DataError, match=r"hi: token 60000 is outside the vocabulary of 400"):
        open_loader(tokens, recipe("tokens.weights={en: 0, fr: 0, hi: 1}"), family="causal").batch(0)
    data.write_bytes(data.read_bytes()[:-2])
    written_anew(tokens, data)
    with pytest.raises(DataError, match=r"small_hi_inputs_document\.bin: byte"):
        open_loader(tokens, recipe(), family="causal")


def test_damaged_clusters_and_another_tokenizer_are_named(tokens: Path, recipe: Recipe, tmp_path: Path) -> None:
    copy = shutil.copytree(tokens, tmp_path / "copy")
    clusters = store_prefix(copy, "small", "fr").clusters
    whole = clusters.read_bytes()
    changed = bytearray(whole)
    changed[-1] ^= 0xFF
    for content in (whole[:100], b"", bytes(changed)):
        clusters.write_bytes(content)
        with pytest.raises(DataError, match=r"small_fr_clusters\.npy: (cannot be read|does not contain)"):
            open_loader(copy, recipe(), family="causal")
    clusters.unlink()
    with pytest.raises(DataError, match=r"small_fr_clusters\.npy: cannot be read"):
        open_loader(copy, recipe(), family="causal")
    clusters.write_bytes(whole)
    config = copy / "tokenizer" / "tokenizer_config.json"
    config.write_text(config.read_text().replace("</s>", "<unk>"))
    with pytest.raises(DataError, match="is not the tokenizer with which the token files were built"):
        open_loader(copy, recipe(), family="causal")
    shutil.rmtree(copy / "tokenizer")
    with pytest.raises(DataError, match="copy/tokenizer: missing"):
        open_loader(copy, recipe(), family="causal")


@pytest.mark.parametrize("key", ["weights", "multipliers"])
def test_a_language_under_two_codes_is_one_line(tokens: Path, recipe: Recipe, key: str) -> None:
    loaded = recipe(f"tokens.{key}={{en: 1, fr: 1, hi: 1, eng: 2}}")
    with pytest.raises(
        ConfigError, match=rf"tokens.{key}: 'en' and 'eng' are the same language \(en\); give it one number"
    ):
        open_loader(tokens, loaded, family="causal")
