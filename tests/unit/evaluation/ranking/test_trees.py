"""Token trees: what begins alike is one path, and every choice is asked where it is predicted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmtf.errors import ConfigError
from xmtf.evaluation.engine.batches import PromptGroup, group_prompts
from xmtf.evaluation.ranking.passes import build_tree, tree_batches, tree_groups
from xmtf.evaluation.ranking.rank import score_batches
from xmtf.models.bloom import Bloom, BloomConfig
from xmtf.models.build import random_weights


def test_the_worked_example():
    (tree_group,) = tree_groups(
        [PromptGroup((1, 2, 3, 4, 5), {(7, 9): 0, (8,): 1}), PromptGroup((1, 2, 3, 4, 6), {(8,): 0})], join=True
    )
    tree = build_tree(tree_group.groups)
    assert tree.tokens == [1, 2, 3, 4, 5, 7, 6]
    assert tree.depths == [0, 1, 2, 3, 4, 5, 4]
    assert tree.ends == [7, 7, 7, 7, 6, 6, 7]
    asked = [(query.node, query.token, query.member, query.place) for query in tree.queries]
    assert sorted(asked) == [(4, 7, 0, 0), (4, 8, 0, 1), (5, 9, 0, 0), (6, 8, 1, 0)]
    assert tree_group.num_nodes == len(tree)


def test_the_tree_of_an_answer_begins_with_the_decoders_first_token():
    tree = build_tree([PromptGroup((5, 6), {(1, 2): 0, (1, 3): 1})], start=0)
    assert tree.tokens == [0, 1]
    assert [(query.node, query.token) for query in tree.queries] == [(0, 1), (0, 1), (1, 2), (1, 3)]


def test_prompts_that_share_a_long_beginning_are_read_together():
    beginning = tuple(range(2000))
    groups = [PromptGroup((*beginning, 5000 + row, *range(40)), {(1,): 0}) for row in range(30)]
    found = tree_groups(groups, join=True)
    assert sum(tree_group.num_nodes for tree_group in found) == 2 * 2000 + 30 * 41
    assert max(tree_group.num_nodes for tree_group in found) <= 3072
    assert len(tree_groups(groups, join=False)) == 30


@pytest.mark.parametrize(("shared", "most"), [(40, 552), (800, 1600), (2900, 3412)])
def test_a_bunch_holds_as_much_again_as_its_prompts_share_within_bounds(shared, most):
    groups = [PromptGroup((*range(shared), 5000 + row, *range(29)), {(1,): 0}) for row in range(200)]
    sizes = [tree_group.num_nodes for tree_group in tree_groups(groups, join=True)]
    assert most - 30 < max(sizes) <= most


ids = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ids, st.lists(ids, min_size=1, max_size=3)), min_size=1, max_size=12), st.integers(1, 60))
def test_every_token_of_every_choice_is_asked_behind_its_own_ancestors(items, batch_tokens):
    prompts, choices = [prompt for prompt, _ in items], [row for _, row in items]
    groups = group_prompts(prompts, choices, range(len(items)))
    found = tree_groups(groups, join=True)
    assert [tree_group for batch in tree_batches(found, batch_tokens) for tree_group in batch] == found
    assert sorted(member for tree_group in found for group in tree_group.groups for member in group.members) == list(
        range(len(items))
    )
    for tree_group in found:
        tree = build_tree(tree_group.groups)
        assert len(tree) <= tree_group.num_nodes
        spelt = {
            (index, place): {} for index, group in enumerate(tree_group.groups) for place in group.choices.values()
        }
        for query in tree.queries:
            path = [node for node in range(query.node + 1) if query.node < tree.ends[node]]
            assert [tree.depths[node] for node in path] == list(range(len(path)))
            spelt[query.member, query.place][tuple(tree.tokens[node] for node in path)] = query.token
        for index, group in enumerate(tree_group.groups):
            for choice, place in group.choices.items():
                expected = {(*group.prompt, *choice[:at]): token for at, token in enumerate(choice)}
                assert spelt[index, place] == expected


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("prefix_lm", [False, True])
def test_our_bloom_scores_trees_as_rows(absolute, prefix_lm):
    shape = {"vocab_size": 40, "hidden_size": 32, "num_layers": 3, "num_heads": 4}
    bloom = Bloom(BloomConfig(**shape, absolute_alibi=absolute)).eval()
    bloom.load_state_dict(dict(random_weights(bloom, 0)))
    with torch.no_grad():
        for parameter in bloom.parameters():
            parameter.mul_(4.0)
    prompts = [(5, 6, 7, 8, 9, 10), (5, 6, 7, 8, 11), (5, 6, 7, 8, 9, 10, 12, 13), (20,)]
    choices = [((1, 2), (1, 3, 4), (2,))] * 4
    found = dict(
        entry
        for batch in score_batches(bloom, prompts, choices, range(4), pad=0, prefix_lm=prefix_lm)
        for entry in batch
    )
    for index, prompt in enumerate(prompts):
        for choice, told in zip(choices[index], found[index], strict=True):
            row = torch.tensor([prompt + choice])
            is_input = torch.arange(row.shape[1])[None] < len(prompt) if prefix_lm else None
            with torch.inference_mode():
                logits = bloom.logits(bloom.hidden_states(row, is_input_RT=is_input)[0, len(prompt) - 1 : -1])
            logp = torch.log_softmax(logits, -1)
            assert told.score == pytest.approx(logp[range(len(choice)), choice].sum().item(), abs=2e-5)
            assert told.greedy == (logits.argmax(-1).tolist() == list(choice))


def test_a_tree_too_large_for_memory_is_divided(monkeypatch):
    bloom = Bloom(BloomConfig(vocab_size=40, hidden_size=16, num_layers=1, num_heads=2)).eval()
    bloom.load_state_dict(dict(random_weights(bloom, 0)))
    prompts = [(5, 6, 7, 8, 9, last) for last in range(10, 17)]
    choices = [((1, 2), (3,))] * 7

    def scored():
        found = score_batches(bloom, prompts, choices, range(7), pad=0)
        return {index: [choice.score for choice in row] for batch in found for index, row in batch}

    expected, read, sizes = scored(), bloom.read_forest, []

    def small_device(blocks, wanted_P):
        size = sum(block.tokens.numel() for block in blocks)
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(size)
        return read(blocks, wanted_P)

    monkeypatch.setattr(bloom, "read_forest", small_device)
    most = 15
    for index, scores in scored().items():
        assert scores == pytest.approx(expected[index], abs=1e-5)
    assert len(sizes) > 3
    most = 6
    with pytest.raises(ConfigError, match="a single request needs more memory"):
        scored()
