"""Token trees as arrays."""

import torch

from xmtf.models.layers.trees import Trees, padded_together


def rows(*lists):
    return torch.tensor(lists)


def test_the_worked_example_attends_to_ancestors_alone():
    tree = Trees(rows([5, 6, 7, 8, 9]), rows([0, 1, 2, 3, 3]), rows([5, 5, 5, 4, 5]))
    assert tree.allowed()[0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 0, 1],
    ]
    assert tree.distances()[0, 4].tolist() == [-3, -2, -1, 0, 0]


def test_inputs_of_a_prefix_lm_see_each_other():
    tree = Trees(rows([5, 6, 7]), rows([0, 1, 2]), rows([3, 3, 3]), torch.tensor([2]))
    assert tree.allowed()[0].int().tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 1]]


def test_padding_sees_itself_alone():
    large = Trees(rows([5, 6, 7], [5, 8, 9]), rows([0, 1, 1], [0, 1, 2]), rows([3, 2, 3], [3, 3, 3]))
    small = Trees(rows([4]), rows([0]), rows([1]))
    together = padded_together([small, large])
    assert together.tokens.tolist() == [[4, 0, 0], [5, 6, 7], [5, 8, 9]]
    assert together.depths.tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 2]]
    assert together.ends.tolist() == [[1, 2, 3], [3, 2, 3], [3, 3, 3]]
    assert together.allowed()[0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert together.inputs is None


def test_prefix_lm_trees_keep_their_inputs_together():
    tree = Trees(rows([5, 6]), rows([0, 1]), rows([2, 2]), torch.tensor([1]))
    assert padded_together([tree, tree]).inputs.tolist() == [1, 1]
