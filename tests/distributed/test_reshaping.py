"""A checkpoint of any layout goes on under any other: the losses are those of one process that never stopped."""

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from tiny_training import make_loop, size

from xmtf.errors import DataError
from xmtf.parallel.topology.ranks import ALONE
from xmtf.training.checkpoint import checkpoint, state
from xmtf.training.checkpoint.shards import Shard, ShardReader
from xmtf.training.checkpoint.state import TrainingProgress, torn

MATRIX = ("single", "FSDP2 x2", "TP x2", "PP x2", "FSDP2 x TP x4")
PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
BEGIN, END = "<!-- reshaping: tests/distributed/test_reshaping.py -->", "<!-- end of reshaping -->"


def train_and_save(ranks, folder, layout, **training):
    loop = make_loop(ranks, folder, "bloom", layout, **training)
    for step in range(2):
        loop.step(step, loop.feed.get(step))
    loop.saver.save(TrainingProgress(step=2))
    for step in range(2, 3):  # what is written in the background is not touched by further training
        loop.step(step, loop.feed.get(step))
    loop.saver.wait()
    loop.saver.close()
    loop.feed.close()


def go_on(ranks, folders, layout, **training):
    """Go on from the checkpoint in each folder; return the losses of the third and fourth step."""
    result = []
    for folder in folders:
        loop = make_loop(ranks, folder, "bloom", layout, **training)
        path = checkpoint.find_checkpoint(loop.checkpoints, "f", 4)
        progress = checkpoint.load(path, loop.step.layout, loop.step.optimizer)
        outcomes = [loop.step(step, loop.feed.get(step)) for step in range(progress.step, progress.step + 2)]
        loop.feed.close()
        result.append([outcome.loss for outcome in outcomes])
    return result


def uninterrupted(folder, **training):
    loop = make_loop(ALONE, folder, "bloom", "single", **training)
    losses = [loop.step(step, loop.feed.get(step)).loss for step in range(4)][2:]
    loop.feed.close()
    return losses


def cells(text):
    return [[float(cell) for cell in re.findall(r"\d\.\d{5}", line)] for line in text.splitlines()[2:]]


def table(losses):
    lines = [f"| saved under | {' | '.join(f'on {layout}' for layout in MATRIX)} |", "| --- " * (len(MATRIX) + 1) + "|"]
    for saved in MATRIX:
        lines.append(f"| {saved} | {' | '.join(f'{losses[saved, loaded]:.5f}' for loaded in MATRIX)} |")
    return "\n".join(lines)


def test_checkpoints_of_all_layouts_go_on_under_the_least_and_the_most_cut(processes, tmp_path):
    """Loading under the others, from the one before it, is in the chains below."""
    fourth = gone_on(processes, tmp_path, ("single", "FSDP2 x TP x4"))
    page = PAGE.read_text()
    shown = cells(page[page.index(BEGIN) + len(BEGIN) : page.index(END)].strip())
    for (saved, loaded), loss in fourth.items():
        assert shown[MATRIX.index(saved)][MATRIX.index(loaded)] == pytest.approx(loss, abs=2e-5)


@pytest.mark.slow
def test_every_pair_of_layouts_and_the_page_that_shows_it(processes, tmp_path):
    fourth = gone_on(processes, tmp_path, MATRIX)
    page = PAGE.read_text()
    shown = page[page.index(BEGIN) + len(BEGIN) : page.index(END)].strip()
    if os.environ.get("XMTF_WRITE_DOCS"):
        PAGE.write_text(page.replace(shown, table(fourth)))
    else:
        assert cells(shown) == [pytest.approx(row, abs=2e-5) for row in cells(table(fourth))]


def gone_on(processes, tmp_path, layouts):
    """Go on from a checkpoint of every layout under some; return (saved, loaded) -> the fourth step's loss."""
    expected = uninterrupted(tmp_path / "straight")
    for layout in MATRIX:
        processes(size(layout), train_and_save, tmp_path / layout, layout)
    fourth = {}
    for loaded in layouts:
        for found in processes(size(loaded), go_on, [tmp_path / saved for saved in MATRIX], loaded):
            assert found == [pytest.approx(expected, abs=1e-5)] * len(MATRIX)
        fourth |= {(saved, loaded): losses[1] for saved, losses in zip(MATRIX, found, strict=True)}
    return fourth


def one_step(ranks, folder, architecture, layout, **training):
    """Go on from the newest checkpoint, if there is one; take a step, save, and return its loss."""
    loop = make_loop(ranks, folder, architecture, layout, **training)
    path = checkpoint.find_checkpoint(loop.checkpoints, "f", 99, ranks)
    step = 0 if path is None else checkpoint.load(path, loop.step.layout, loop.step.optimizer).step
    loss = loop.step(step, loop.feed.get(step)).loss
    loop.saver.save(TrainingProgress(step=step + 1))
    loop.saver.close()
    loop.feed.close()
    return loss


@pytest.mark.parametrize(
    ("architecture", "chain"),
    [
        ("bloom", [*MATRIX, "single"]),
        ("mt5", ["single", "FSDP2 x2", "TP x2", "FSDP2 x TP x4", "single"]),
        ("llama", ["single", "PP x2", "FSDP2 x PP x4", "TP x PP x4", "FSDP2 x2", "PP x2", "single"]),
    ],
)
def test_adafactor_goes_from_each_layout_to_the_next(processes, tmp_path, architecture, chain):
    options = {"optimizer": {"name": "adafactor", "learning_rate": 0.01}}
    loop = make_loop(ALONE, tmp_path / "straight", architecture, "single", **options)
    expected = [loop.step(step, loop.feed.get(step)).loss for step in range(len(chain))]
    loop.feed.close()
    for layout, loss in zip(chain, expected, strict=True):
        found = processes(size(layout), one_step, tmp_path / "chain", architecture, layout, **options)
        assert found == [pytest.approx(loss, abs=1e-5)] * size(layout), layout


EIGHT_BIT = {"optimizer": {"name": "adamw_8bit", "learning_rate": 0.01}}


def save_and_load(ranks, folder, layout):
    """Return state and losses of a training that goes on, and of one that resumes from its checkpoint."""
    results = []
    for resumed in (False, True):
        loop = make_loop(ranks, folder, "bloom", layout, **EIGHT_BIT)
        if resumed:
            path = checkpoint.find_checkpoint(loop.checkpoints, "f", 4, ranks)
            checkpoint.load(path, loop.step.layout, loop.step.optimizer)
        else:
            for step in range(2):
                loop.step(step, loop.feed.get(step))
            loop.saver.save(TrainingProgress(step=2))
        state = {name: loop.step.optimizer.state[local] for name, local in loop.step.layout.named_parameters()}
        state = {
            f"{name}/{key}": value.clone() if key != "step" else value
            for name, values in state.items()
            for key, value in values.items()
        }
        outcomes = [loop.step(step, loop.feed.get(step)) for step in range(2, 4)]
        loop.saver.close()
        loop.feed.close()
        results.append((state, [outcome.loss for outcome in outcomes]))
    return results


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("layout", ["single", "FSDP2 x TP x4", "PP x2"])
def test_averages_in_8_bit_resume_to_the_same_bytes(processes, tmp_path, layout):
    pytest.importorskip("bitsandbytes", reason="the extra `gpu` is not installed")
    for (kept, straight), (loaded, resumed) in processes(size(layout), save_and_load, tmp_path, layout):
        assert straight == resumed
        assert kept.keys() == loaded.keys()
        assert any(path.endswith("/absmax2") for path in kept)
        for path, value in kept.items():
            assert torch.equal(value, loaded[path]) if isinstance(value, torch.Tensor) else value == loaded[path], path


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("background", [False, True])
def test_averages_in_8_bit_go_from_each_layout_to_the_next(processes, tmp_path, background):
    """Blocks differ between layouts where rows are no multiple of 256: losses differ by what is rounded again."""
    pytest.importorskip("bitsandbytes", reason="the extra `gpu` is not installed")
    chain = ["single", "FSDP2 x TP x4", "PP x2", "single"] if background else [*MATRIX, "single"]
    loop = make_loop(ALONE, tmp_path / "straight", "bloom", "single", **EIGHT_BIT)
    expected = [loop.step(step, loop.feed.get(step)).loss for step in range(len(chain))]
    loop.feed.close()
    for layout, loss in zip(chain, expected, strict=True):
        given = EIGHT_BIT | {"save_in_background": background}
        found = processes(size(layout), one_step, tmp_path / "chain", "bloom", layout, **given)
        assert found == [pytest.approx(loss, rel=2e-3)] * size(layout), layout


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_averages_in_8_bit_that_an_earlier_version_wrote_in_blocks_are_named(tmp_path):
    pytest.importorskip("bitsandbytes", reason="the extra `gpu` is not installed")
    loop = make_loop(ALONE, tmp_path, "bloom", "single", **EIGHT_BIT)
    loop.step(0, loop.feed.get(0))
    shards = checkpoint.shards_of(loop.step.layout, loop.step.optimizer)
    shards["optimizer.word_embeddings.weight/absmax1"] = Shard.whole(torch.ones(4))
    path = checkpoint.write(tmp_path / "checkpoints", shards, TrainingProgress(step=1), "f")
    with pytest.raises(DataError, match="an earlier version of xmtf wrote its `adamw_8bit`; delete it"):
        checkpoint.load(path, loop.step.layout, loop.step.optimizer)
    loop.feed.close()


@pytest.mark.parametrize("layout", ["TP x2", "FSDP2 x PP x4"])
def test_adafactor_and_saving_in_the_background(processes, tmp_path, layout):
    options = {"optimizer": {"name": "adafactor", "learning_rate": 0.01}}
    expected = uninterrupted(tmp_path / "straight", **options)
    processes(size(layout), train_and_save, tmp_path, layout, save_in_background=True, **options)
    assert go_on(ALONE, [tmp_path], "single", **options) == [pytest.approx(expected, abs=1e-5)]
    (found, *_) = processes(4, go_on, [tmp_path], "FSDP2 x TP x4", **options)
    assert found == [pytest.approx(expected, abs=1e-5)]


def test_weights_and_state_are_whole_under_their_own_names(processes, tmp_path):
    processes(4, train_and_save, tmp_path / "cut", "FSDP2 x TP x4")
    train_and_save(ALONE, tmp_path / "whole", "single")
    cut, whole = (ShardReader(tmp_path / name / "checkpoints" / "step-000002") for name in ("cut", "whole"))
    assert cut.stored == whole.stored
    for name in whole.stored:
        assert torch.dist(cut.whole(name), whole.whole(name)) <= 1e-3 * whole.whole(name).norm(), name


def find(ranks, folder):
    """Return the checkpoint to go on from, and the shards that this process read to choose it."""
    read = []
    hash_of = state._hash
    state._hash = lambda path: read.append(path.name) or hash_of(path)
    return checkpoint.find_checkpoint(folder / "checkpoints", "f", 4, ranks), read


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_changed_byte_is_found_by_one_of_the_processes_and_the_checkpoint_before_is_used(processes, tmp_path):
    processes(2, train_and_save, tmp_path, "FSDP2 x2")
    (path,) = checkpoint.list_checkpoints(tmp_path / "checkpoints")
    shards = sorted(shard.name for shard in path.glob("shard-*"))
    for found, read in processes(2, find, tmp_path):
        assert found == path
        assert len(read) == 1
    newer = shutil.copytree(path, path.with_name("step-000003"))
    flip(newer / shards[1], -1)
    results = processes(2, find, tmp_path)
    assert [found for found, _ in results] == [path, path]
    assert sorted(name for _, read in results for name in read) == sorted([*shards, *shards])
    with pytest.raises(
        DataError, match=rf"step-000003: not a complete checkpoint: {shards[1]} does not match its recorded checksum"
    ):
        state.require_whole(newer)


def test_a_missing_or_torn_shard_is_named_and_never_loaded(processes, tmp_path, monkeypatch, capsys):
    processes(2, train_and_save, tmp_path, "FSDP2 x2")
    (path,) = checkpoint.list_checkpoints(tmp_path / "checkpoints")
    shards = sorted(path.glob("shard-*"))
    assert len(shards) == 2
    content = shards[1].read_bytes()
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    for harm, said in ((content[:-3], f"{shards[1].name} has "), (None, f"{shards[1].name} is missing")):
        shards[1].unlink()
        if harm is not None:
            shards[1].write_bytes(harm)
        assert said in torn(path)
        assert checkpoint.find_checkpoint(tmp_path / "checkpoints", "f", 4) is None
        assert said in capsys.readouterr().err
        with pytest.raises(DataError, match=said):
            load_anyway(path, tmp_path)


def load_anyway(path, folder):
    loop = make_loop(ALONE, folder, "bloom", "single")
    loop.feed.close()
    checkpoint.load(path, loop.step.layout, loop.step.optimizer)
