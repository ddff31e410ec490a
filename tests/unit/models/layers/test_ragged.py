import pytest
import torch

from xmtf.models.layers import ragged
from xmtf.models.layers.ragged import Piece, RaggedCache, RaggedPass, shared_parts


def parts(texts):
    return [("".join(part.tokens), part.piece.past, part.piece.rows) for part in shared_parts(list(map(tuple, texts)))]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["abcde", "abcf", "a"], [("a", 0, (2,)), ("abc", 0, (0, 1)), ("de", 3, (0,)), ("f", 3, (1,))]),
        (["abcde", "abc"], [("abc", 0, (1, 0)), ("de", 3, (0,))]),
        (["abc", "abc", "ab"], [("ab", 0, (2,)), ("abc", 0, (0, 1))]),
        (["abcx", "abcdefgx", "abcdefgy"], [("abc", 0, (1, 2, 0)), ("defg", 3, (1, 2)), ("x", 7, (1,)), ("y", 7, (2,)),
                                            ("x", 3, (0,))]),
        (["z"], [("z", 0, (0,))]),
    ],
)  # fmt: skip
def test_what_begins_alike_is_one_piece(texts, expected, monkeypatch):
    monkeypatch.setattr(ragged, "MIN_SHARED", 3)
    found = parts(texts)
    assert found == expected
    for row, text in enumerate(texts):
        assert "".join(tokens for tokens, _, rows in found if row in rows) == text


def test_rows_keep_what_they_remember_when_chosen_and_joined():
    cache = RaggedCache([0, 0])
    read = RaggedPass(cache, [Piece(3, 0, (0,)), Piece(1, 0, (1,))], torch.device("cpu"))
    numbers = torch.arange(4.0)[None, :, None]
    read.attend(0, numbers, numbers, numbers, scale=1.0)
    read.finish()
    both = cache.select(torch.tensor([1, 0, 1])).joined(cache)
    keys, _ = both.layers[0]
    assert both.lengths == [1, 3, 1, 3, 1]
    remembered = [row[0, :length, 0].tolist() for row, length in zip(keys, both.lengths, strict=True)]
    assert remembered == [[3], [0, 1, 2], [3], [0, 1, 2], [3]]
    both.reserve(100)
    assert [row[0, :length, 0].tolist() for row, length in zip(both.layers[0][0], both.lengths, strict=True)] == (
        remembered
    )


@pytest.mark.parametrize("window", [None, 2])
def test_a_piece_sees_what_stands_before_it(window):
    torch.manual_seed(0)
    query, key, value = torch.randn(4, 6, 5), torch.randn(2, 6, 5), torch.randn(2, 6, 5)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    if window:
        mask = mask.triu(1 - window)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key.repeat_interleave(2, 0), value.repeat_interleave(2, 0), attn_mask=mask
    ).transpose(0, 1)
    cache = RaggedCache([0])
    found, start = [], 0
    for length in (3, 2, 1):
        read = RaggedPass(cache, [Piece(length, start, (0,))], torch.device("cpu"))
        own = slice(start, start + length)
        found.append(read.attend(0, query[:, own], key[:, own], value[:, own], scale=None, window=window))
        read.finish()
        start += length
    assert torch.allclose(torch.cat(found), expected, atol=1e-6)
