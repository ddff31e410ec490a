import torch

from xmtf.models.mt5.relative_positions import RelativeBias, relative_buckets

DISTANCES = torch.tensor([-200, -16, -2, -1, 0, 1, 2, 16])


def test_buckets_of_the_worked_example():
    both = relative_buckets(DISTANCES, bidirectional=True, num_buckets=32, max_distance=128)
    assert both.tolist() == [15, 10, 2, 1, 0, 17, 18, 26]
    causal = relative_buckets(DISTANCES, bidirectional=False, num_buckets=32, max_distance=128)
    assert causal.tolist() == [31, 16, 2, 1, 0, 0, 0, 0]


def test_the_bias_depends_on_distance_alone_and_on_the_last_queries():
    bias = RelativeBias(32, 128, 3, bidirectional=True)
    torch.nn.init.normal_(bias.weight)
    whole = bias(6, 6)
    for query in range(6):
        for key in range(6):
            bucket = relative_buckets(torch.tensor([key - query]), bidirectional=True, num_buckets=32, max_distance=128)
            assert torch.equal(whole[:, query, key], bias.weight[bucket[0]])
    assert torch.equal(bias(2, 6), whole[:, 4:])
