"""Both sides of a row as items of tokens."""

import pyarrow as pa
import pytest

from xmtf.tokens.build.encode import Ends, encode_pairs
from xmtf.tokens.tokenizer.tokenizer import Tokenizer
from xmtf.tokens.tokenizer.training import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([["a b cat dog translate yes no"] * 9], 300, "causal")


def _items(flat: object, sizes: object) -> list[list[int]]:
    items, at = [], 0
    for size in sizes.tolist():  # type: ignore[attr-defined]
        items.append(flat[at : at + size].tolist())  # type: ignore[index]
        at += size
    return items


@pytest.mark.parametrize(
    ("ends", "inputs", "targets"),
    [
        (Ends(space_before_targets=True), "{}", " {}</s>"),
        (Ends(space_before_targets=False), "{}", "{}</s>"),
        (Ends(False, end_of_inputs=True), "{}</s>", "{}</s>"),
        (Ends(False, end_of_inputs="bos"), "{}<s>", "{}</s>"),
        (Ends(True, begin_of_inputs=(1,), end_of_inputs=True, end_of_targets=False), "<s>{}</s>", " {}"),
        (Ends(False, begin_of_inputs=(1,)), "<s>{}", "{}</s>"),
    ],
)
def test_ends_of_both_sides(tokenizer: Tokenizer, ends: Ends, inputs: str, targets: str) -> None:
    texts, answers = ["translate cat", "dog", "translate cat"], ["yes", " no", "yes"]
    pairs = encode_pairs(tokenizer, pa.array(texts), pa.array(answers), ends)
    for shape, given, flat, sizes in (
        (inputs, texts, pairs.inputs, pairs.input_sizes),
        (targets, answers, pairs.targets, pairs.target_sizes),
    ):
        assert _items(flat, sizes) == [tokenizer.encode([shape.format(text)])[0].tolist() for text in given]
    assert pairs.kept.tolist() == [0, 1, 2]


def test_empty_sides_are_dropped_with_their_partner(tokenizer: Tokenizer) -> None:
    inputs = pa.array(["a", "", "b", None, "", "cat"])
    targets = pa.array(["yes", "no", "", "no", "", None])
    pairs = encode_pairs(tokenizer, inputs, targets, Ends(space_before_targets=True))
    assert pairs.kept.tolist() == [0]
    assert pairs.dropped == {"empty inputs": 3, "empty targets": 2}
    assert _items(pairs.targets, pairs.target_sizes) == [tokenizer.encode([" yes</s>"])[0].tolist()]


def test_a_batch_with_nothing_left(tokenizer: Tokenizer) -> None:
    pairs = encode_pairs(tokenizer, pa.array(["", ""]), pa.array(["a", "b"]), Ends(True, (1,), True))
    assert (len(pairs.inputs), len(pairs.targets), len(pairs.kept)) == (0, 0, 0)
