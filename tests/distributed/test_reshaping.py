"""A checkpoint of any layout goes on under any other: the losses are those of one process that never stopped."""

import pytest
from tiny_training import make_loop, size

from xmtf.training import checkpoint
from xmtf.training.ranks import ALONE

MATRIX = ("single", "FSDP2 x2", "TP x2", "PP x2", "FSDP2 x TP x4")


def train_and_save(ranks, folder, layout, **training):
    loop = make_loop(ranks, folder, "bloom", layout, **training)
    for step in range(2):
        loop.step(step, loop.feed.get(step))
    loop.feed.close()
    loop.saver.save(checkpoint.Progress(step=2))


def go_on(ranks, folder, layout, **training):
    """Go on from the checkpoint of every layout; return the next losses of each."""
    result = {}
    for saved in MATRIX:
        loop = make_loop(ranks, folder / saved, "bloom", layout, **training)
        path = checkpoint.find_checkpoint(loop.checkpoints, "f", 4)
        progress = checkpoint.load(path, loop.step.layout, loop.step.optimizer)
        outcomes = [loop.step(step, loop.feed.get(step)) for step in range(progress.step, progress.step + 2)]
        loop.feed.close()
        result[saved] = [outcome.loss for outcome in outcomes]
    return result


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_every_pair_of_layouts(processes, tmp_path, optimizer):
    options = {"optimizer": {"name": optimizer, "learning_rate": 0.01}}
    loop = make_loop(ALONE, tmp_path, "bloom", "single", **options)
    expected = [loop.step(step, loop.feed.get(step)).loss for step in range(4)][2:]
    loop.feed.close()
    for layout in MATRIX:
        processes(size(layout), train_and_save, tmp_path / layout, layout, **options)
    for layout in MATRIX:
        for losses in processes(size(layout), go_on, tmp_path, layout, **options):
            assert losses == {saved: pytest.approx(expected, abs=1e-5) for saved in MATRIX}
