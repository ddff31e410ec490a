"""A row as a person sees it."""

from collections.abc import Callable
from pathlib import Path

from xmtf.recipe.load import LoadedRecipe
from xmtf.tokens import open_loader, peek_row, tokenize_mixture


def test_tokens_segments_and_loss_stand_in_columns(tokens: Path, recipe: Callable[..., LoadedRecipe]) -> None:
    loader = open_loader(tokens, recipe("tokens.packing.policy=pad"), family="causal")
    text = peek_row(loader, 0)
    assert text.startswith("row 0 (en), 1 example: 1 ")
    lines = text.splitlines()
    spelled = "".join(line.removeprefix("token").replace(" ", "") for line in lines if line.startswith("token"))
    assert spelled.startswith("Name·the·capital·of·country·number")
    assert spelled.endswith("</s>")
    weights = [float(cell) for line in lines if line.startswith("loss") for cell in line.split()[1:]]
    assert abs(sum(weights) - 1) < 0.05
    assert lines[-1].endswith("empty positions")


def test_letters_of_several_tokens_are_read_whole(
    mixture: Path, recipe: Callable[..., LoadedRecipe], tmp_path: Path
) -> None:
    loaded = recipe("tokens.tokenizer.train_vocab_size=300", "tokens.packing={policy: pad, sequence_length: 128}")
    tokenize_mixture(loaded, mixture, tmp_path / "tokens", family="causal")
    loader = open_loader(tmp_path / "tokens", loaded, family="causal")
    text = next(text for text in (peek_row(loader, row) for row in range(40)) if "(hi)" in text)
    lines = [line.removeprefix("token").split() for line in text.splitlines() if line.startswith("token")]
    spelled = "".join(cell for line in lines for cell in line)
    assert "‹" in spelled
    assert "क्या·है?" in spelled.replace("‹", "")


def test_an_encoder_decoder_row_has_two_parts(tokens_of_mt5: Path, recipe: Callable[..., LoadedRecipe]) -> None:
    text = peek_row(open_loader(tokens_of_mt5, recipe(), family="encoder-decoder"), 2)
    encoder, decoder = text.split("decoder targets")
    assert "loss" not in encoder
    assert "loss" in decoder
