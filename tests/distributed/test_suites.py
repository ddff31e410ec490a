"""Suites measured on a model that is cut: the scores and answers of one process, in every process."""

import numpy as np
import pytest
import torch
from tiny_training import make_loop, size

from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.ranking.rank import rank
from xmtf.models.layers.cut import read_whole
from xmtf.parallel.topology.ranks import ALONE
from xmtf.records import Origin, Request


class Letters:
    """One token a letter, far apart in the vocabulary, so that every slice of it has some."""

    vocab_size, pad, eos, bos, fingerprint = 300, 0, 1, None, "letters"
    ends, begin, puts_space, special_ends = (1,), (), False, ((), ())

    def encode(self, texts):
        return [np.array([10 + 11 * (ord(letter) % 26) for letter in text], dtype=np.int64) for text in texts]

    def decode(self, ids):
        return "".join(f"<{number}>" for number in ids)


def request(prompt, *choices, row=0):
    return Request(prompt, choices, 0 if choices else None, (), Origin("tasks", "", "test", row))


RANKED = [request("abc", "def", "gh", "zyxw"), request("the longer prompt", "a", "bb", row=1)]
ASKED = [request("abc", row=2), request("another", row=3)]


def measure(model, reader):
    with torch.no_grad(), read_whole(model):
        scores = [answer.scores for answer in rank(reader, Letters(), RANKED, batch_tokens=64)]
        texts = [answer.text for answer in generate(reader, Letters(), ASKED, batch_tokens=64, max_new_tokens=6)]
    return scores, texts


def measured(ranks, folder, architecture, layout):
    loop = make_loop(ranks, folder, architecture, layout)
    loop.step(0, loop.feed.get(0))
    loop.step.model.eval()
    found = measure(loop.step.model, loop.step.objective.reader)
    loop.step.model.train()
    loss = loop.step(1, loop.feed.get(1)).loss  # and training goes on as before
    loop.feed.close()
    return (*found, loss)


@pytest.mark.parametrize(
    ("architecture", "layout"),
    [
        ("bloom", "FSDP2 x2"),
        ("bloom", "TP x2"),
        ("bloom", "PP x2"),
        pytest.param("bloom", "interleaved PP x2", marks=pytest.mark.slow),
        pytest.param("bloom", "PP x4", marks=pytest.mark.slow),
        pytest.param("bloom", "TP x PP x4", marks=pytest.mark.slow),
        pytest.param("bloom", "ZeRO-1 x PP x4", marks=pytest.mark.slow),
        pytest.param("mt5", "TP x2", marks=pytest.mark.slow),
        pytest.param("llama", "FSDP2 x2", marks=pytest.mark.slow),
        pytest.param("llama", "TP x2", marks=pytest.mark.slow),
        ("llama", "PP x2"),
        pytest.param("qwen3", "TP x PP x4", marks=pytest.mark.slow),
    ],
)
def test_suites_are_measured_on_a_cut_model(processes, tmp_path, architecture, layout):
    scores, texts, loss = measured(ALONE, tmp_path, architecture, "single")
    for found in processes(size(layout), measured, tmp_path, architecture, layout):
        for of_one, expected in zip(found[0], scores, strict=True):
            assert of_one == pytest.approx(expected, abs=2e-3)
        assert found[1] == texts
        assert found[2] == pytest.approx(loss, rel=1e-5)
