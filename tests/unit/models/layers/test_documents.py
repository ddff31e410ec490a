"""Rows taken apart into documents: the same numbers as with a mask over the whole row, and no such mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.layers.documents import DocumentPairs, Documents, by_group, chosen, joined
from xmtf.models.mt5 import MT5, MT5Config


def drawn_model(model):
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        model.draw(name, parameter, generator)
    for name, parameter in model.named_parameters():
        if "relative_bias" in name:
            parameter.data.normal_(generator=generator)
    return model.eval()


def bloom(**changes):
    return drawn_model(Bloom(BloomConfig(vocab_size=50, hidden_size=48, num_layers=2, num_heads=3, **changes)))


def mt5():
    return drawn_model(MT5(MT5Config(50, 32, 2, 2, num_heads=2, head_size=8, feedforward_size=40)))


def rows_of(lengths, num_rows=2, spare=3):
    """Return segment ids of rows that hold documents of these lengths in turn, and tokens."""
    width = max(sum(lengths[row::num_rows]) for row in range(num_rows)) + spare
    ids = torch.zeros(num_rows, width, dtype=torch.long)
    for row in range(num_rows):
        start = 0
        for number, length in enumerate(lengths[row::num_rows], start=1):
            ids[row, start : start + length] = number
            start += length
    return ids, torch.randint(3, 50, ids.shape, generator=torch.Generator().manual_seed(len(lengths)))


def test_documents_lie_one_behind_the_other_short_ones_first():
    ids = torch.tensor([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 2, 3]])
    documents = Documents.of(ids)
    assert documents.places.tolist() == [10, 11, 3, 4, 0, 1, 2, 6, 7, 8, 9]
    assert documents.lengths.tolist() == [1, 1, 2, 3, 4]
    (group,) = documents.groups  # within four positions of one another
    assert (group.count, group.length, group.size) == (5, 4, 11)
    values = torch.arange(12.0).view(2, 6, 1)
    (padded,) = by_group(documents.take(values), documents.groups)
    assert padded[..., 0].tolist() == [[10] * 4, [11] * 4, [3, 4, 4, 4], [0, 1, 2, 2], [6, 7, 8, 9]]
    back = documents.put_back(joined([padded], documents.groups))
    assert torch.equal(back, values.masked_fill(ids[..., None] == 0, 0.0))


def test_groups_hold_documents_of_about_one_length_and_no_more_scores_than_the_longest():
    lengths = torch.randint(1, 300, (60,), generator=torch.Generator().manual_seed(1)).tolist()
    documents = Documents.of(rows_of(lengths)[0])
    groups, longest = documents.groups, max(lengths)
    assert sum(group.count for group in groups) == 60
    assert all(group.count * group.length**2 <= longest**2 for group in groups)
    padding = sum(group.count * group.length - group.size for group in groups)
    assert padding < 0.2 * sum(lengths)
    assert len(groups) < 40


@pytest.mark.parametrize("ids", [[[1, 2, 1, 0]], [[0, 0, 0, 0]]])
def test_segments_in_pieces_and_rows_without_any_keep_the_mask_of_the_row(ids):
    ids = torch.tensor(ids)
    assert Documents.of(ids) is None
    hidden = bloom().hidden_states(torch.tensor([[5, 6, 7, 8]]), segment_ids_RT=ids)
    assert torch.isfinite(hidden).all()


def with_masks(monkeypatch, compute):
    """Return what is computed with the masks of whole rows."""
    with monkeypatch.context() as patch:
        patch.setattr(Documents, "of", lambda ids: None)
        return compute()


def gradients_of(model, loss_of):
    model.zero_grad()
    loss = loss_of()
    loss.backward()
    return float(loss.detach()), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def same(apart, whole):
    assert apart[0] == pytest.approx(whole[0], rel=1e-6)
    assert apart[1].keys() == whole[1].keys()
    for name, gradient in whole[1].items():
        size = float(gradient.abs().max())
        torch.testing.assert_close(apart[1][name], gradient, rtol=1e-4, atol=2e-5 * size + 1e-7, msg=name)


LENGTHS = [7, 150, 3, 1, 33, 33, 9, 12, 31, 64, 2, 5, 40, 11]


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_bloom_by_document_is_bloom_with_a_mask(prefix, absolute, again, monkeypatch):
    model = bloom(absolute_alibi=absolute)
    model.train()
    model.activation_checkpointing = again
    ids, tokens = rows_of(LENGTHS)
    is_input = torch.rand(ids.shape, generator=torch.Generator().manual_seed(2)) < 0.7 if prefix else None

    def loss():
        hidden = model.hidden_states(tokens, segment_ids_RT=ids, is_input_RT=is_input)
        return model.logits(hidden[ids != 0]).logsumexp(-1).square().sum()

    same(gradients_of(model, loss), with_masks(monkeypatch, lambda: gradients_of(model, loss)))


@pytest.mark.parametrize("learns", [True, False])
def test_mt5_by_document_is_mt5_with_masks(learns, monkeypatch):
    model = mt5()
    for name, parameter in model.named_parameters():
        if "relative_bias" in name:
            parameter.requires_grad_(learns)
    ids, tokens = rows_of(LENGTHS)
    target_ids, targets = rows_of([3, 1, 40, 2, 8, 5, 5, 1, 9, 30, 4, 2, 6, 7], spare=1)

    def loss():
        encoded = model.encode(tokens, segment_ids_RS=ids)
        hidden = model.decode(targets, encoded, segment_ids_RT=target_ids, encoder_segment_ids_RS=ids)
        return model.logits(hidden[target_ids != 0]).logsumexp(-1).square().sum()

    same(gradients_of(model, loss), with_masks(monkeypatch, lambda: gradients_of(model, loss)))


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12), rows=st.integers(1, 3))
def test_any_documents_come_back_where_they_were(lengths, rows):
    ids, tokens = rows_of(lengths, rows)
    documents = Documents.of(ids)
    parts = by_group(documents.take(tokens)[:, None], documents.groups)
    assert torch.equal(documents.put_back(joined(parts, documents.groups))[..., 0], tokens.masked_fill(ids == 0, 0))
    pairs = DocumentPairs.of(documents, documents)
    taken = documents.take(tokens)
    queries = torch.cat([chosen(taken, group.queries, group.shape[0] * group.shape[1]) for group in pairs.groups])
    assert torch.equal(chosen(queries, pairs.order, len(taken)), taken)


class Widest(TorchDispatchMode):
    """Remembers the greatest last two sizes of any tensor of three or more dimensions."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.dim() >= 3:
                self.seen = max(self.seen, min(tensor.shape[-2:]))
        return result


@pytest.mark.parametrize("prefix", [False, True])
def test_no_square_is_wider_than_a_document(prefix):
    ids, tokens = rows_of([30, 64, 50, 40, 60, 41] * 4, num_rows=1)  # a row of over 1,000
    model = bloom().train()
    model.dropout = 0.1
    with Widest() as widest:
        hidden = model.hidden_states(tokens, segment_ids_RT=ids, is_input_RT=tokens > 20 if prefix else None)
        hidden.sum().backward()
    assert widest.seen <= 64
    model = mt5().train()
    model.dropout = 0.1
    target_ids, targets = rows_of([9] * 24, num_rows=1)
    with Widest() as widest:
        encoded = model.encode(tokens, segment_ids_RS=ids)
        model.decode(targets, encoded, segment_ids_RT=target_ids, encoder_segment_ids_RS=ids).sum().backward()
    assert widest.seen <= 64


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_documents_are_compiled_as_they_are_computed():
    model, (ids, tokens) = bloom(), rows_of([5, 9, 3, 7])
    compiled = torch.compile(model.hidden_states, backend="eager")
    with torch.no_grad():
        expected = model.hidden_states(tokens, segment_ids_RT=ids)
        torch.testing.assert_close(compiled(tokens, segment_ids_RT=ids), expected, rtol=1e-5, atol=1e-6)
