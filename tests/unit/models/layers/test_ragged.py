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


@pytest.mark.parametrize("window", [None, 3])
def test_few_positions_of_every_row_see_what_they_would_one_by_one(window):
    torch.manual_seed(0)
    widths, pasts = (3, 1, 2), (4, 0, 9)

    def read(lengths, parts, cache):
        """Attend with the given positions of each row; return what they find, row by row."""
        pieces = [
            Piece(len(part), length, (row,)) for row, (length, part) in enumerate(zip(lengths, parts, strict=True))
        ]
        one_pass = RaggedPass(cache, pieces, torch.device("cpu"))
        query, key, value = torch.cat(parts).transpose(0, 1).split((4, 2, 2))
        found = one_pass.attend(0, query, key, value, scale=None, window=window)
        assert one_pass.positions().tolist() == [n for piece in pieces for n in range(piece.past, piece.end)]
        one_pass.finish()
        return found.split([len(part) for part in parts])

    past = [torch.randn(count, 8, 5) for count in pasts]
    new = [torch.randn(count, 8, 5) for count in widths]
    together, alone = RaggedCache([0, 0, 0]), [RaggedCache([0]) for _ in widths]
    for row, part in enumerate(past):
        if len(part):
            one = RaggedPass(together, [Piece(len(part), 0, (row,))], torch.device("cpu"))
            together.reserve(32)
            one.attend(0, *part.transpose(0, 1).split((4, 2, 2)), scale=None, window=window)
            one.finish()
            read([0], [part], alone[row])
    found = read(pasts, new, together)
    for row, part in enumerate(new):
        singly = [read([pasts[row] + place], [part[place : place + 1]], alone[row])[0] for place in range(len(part))]
        assert torch.allclose(found[row], torch.cat(singly), atol=1e-6)


def test_forgotten_positions_are_written_again():
    def append(cache, past, numbers):
        numbers_1FD = torch.tensor(numbers)[None, :, None]
        read = RaggedPass(cache, [Piece(len(numbers), past, (0,))], torch.device("cpu"))
        found = read.attend(0, numbers_1FD, numbers_1FD, numbers_1FD, scale=1.0)
        read.finish()
        return found

    cache, never = RaggedCache([0]), RaggedCache([0])
    append(cache, 0, [1.0, 2.0, 8.0, 9.0])
    append(never, 0, [1.0, 2.0])
    cache.forget(0, 2)
    assert cache.lengths == [2]
    assert torch.equal(append(cache, 2, [3.0]), append(never, 2, [3.0]))
