"""All processes write a model: the files of one process, byte for byte, also after a kill."""

import os
import signal
from functools import partial

import pytest
import torch
from tiny_training import make_loop, make_model, make_recipe, size

import xmtf.models.save
from xmtf.errors import UserError
from xmtf.models.files.weights import plan_weight_files, write_weights
from xmtf.models.save import save_tensors
from xmtf.parallel.topology.ranks import ALONE
from xmtf.training import shared_export
from xmtf.training.checkpoint import checkpoint, room
from xmtf.training.shared_export import SharedExport

MOST = 40_000
KEYS = {"start_s": 60, "export_s": 60}


def train_and_save(ranks, folder, architecture, layout):
    loop = make_loop(ranks, folder, architecture, layout)
    loop.step(0, loop.feed.get(0))
    loop.feed.close()
    loop.saver.save(loop.progress)


def shape(architecture):
    with torch.device("meta"):
        return make_model(make_recipe(architecture, "single")).to("meta")


def export_of(folder, architecture):
    model = shape(architecture)
    sizes = {name: parameter.numel() * 2 for name, parameter in model.named_parameters()}
    source = checkpoint.checkpoint_path(folder / "checkpoints", 0)
    return SharedExport(source, model, folder / ".model.work", torch.bfloat16, plan_weight_files(sizes, MOST))


def export(ranks, folder, architecture):
    return export_of(folder, architecture).write_files(ranks, **KEYS)


@pytest.fixture(params=[pytest.param(("mt5", "TP x2", 2), marks=pytest.mark.slow), ("bloom", "FSDP2 x2", 3)])
def trained(request, processes, tmp_path, monkeypatch):
    """Return the architecture, how many processes export, and the files that one process writes of the checkpoint."""
    architecture, layout, writers = request.param
    processes(size(layout), train_and_save, tmp_path, architecture, layout)
    monkeypatch.setattr(xmtf.models.save, "write_weights", partial(write_weights, shard_bytes=MOST))
    one = export_of(tmp_path, architecture)
    tensors = checkpoint.read_weights(one.source, one.model)
    save_tensors(tensors, one.model.config, tmp_path / "alone", tokenizer=None, dtype=torch.bfloat16)
    assert len(one.files) > writers
    return architecture, writers, {path.name: path.read_bytes() for path in sorted((tmp_path / "alone").iterdir())}


def finished(folder, architecture, hashes, monkeypatch):
    monkeypatch.setattr(shared_export, "copy_tokenizer", lambda source, folder: folder.mkdir())
    export_of(folder, architecture).finish(folder / "model", hashes, tokenizer=folder / "model")
    return {path.name: path.read_bytes() for path in sorted((folder / "model").iterdir())}


def test_all_processes_write_what_one_would(trained, processes, tmp_path, monkeypatch):
    architecture, writers, alone = trained
    child = os.fork()
    if child == 0:  # killed while it writes its second file
        real = shared_export.write_streamed
        written = []

        def write_and_die(path, tensors, read):
            if written:
                real(path, tensors, lambda name: os.kill(os.getpid(), signal.SIGKILL))
            written.append(path)
            return real(path, tensors, read)

        shared_export.write_streamed = write_and_die
        export(ALONE, tmp_path, architecture)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    first = next(iter(export_of(tmp_path, architecture).files))
    kept = (tmp_path / ".model.work" / first).stat()
    hashes = processes(writers, export, tmp_path, architecture)
    assert all(found == hashes[0] for found in hashes)
    assert (tmp_path / ".model.work" / first).stat().st_ino == kept.st_ino
    together = finished(tmp_path, architecture, hashes[0], monkeypatch)
    assert together == alone


def test_what_is_left_of_another_export_or_torn_is_written_anew(processes, tmp_path):
    processes(2, train_and_save, tmp_path, "bloom", "FSDP2 x2")
    whole = export(ALONE, tmp_path, "bloom")
    first = tmp_path / ".model.work" / next(iter(whole))
    first.write_bytes(first.read_bytes()[:-1])
    assert export(ALONE, tmp_path, "bloom") == whole
    (tmp_path / ".model.work" / "of-another").touch()
    (tmp_path / ".model.work" / ".xmtf.json").write_text('{"stage": "export", "training": "another"}')
    assert export(ALONE, tmp_path, "bloom") == whole
    assert not (tmp_path / ".model.work" / "of-another").exists()


def fill_the_disk(ranks, folder):
    free = 10**12 if ranks.rank == 0 else 1000
    room.shutil.disk_usage = lambda path: type("usage", (), {"free": free})
    room.check_room(folder, 600 + ranks.rank, ranks)


def test_free_space_counts_where_the_least_is_left(processes, tmp_path):
    def refused(ranks):
        with pytest.raises(UserError, match=r"a checkpoint takes 1\.0 MB and the disk has 0\.0 MB left on "):
            fill_the_disk(ranks, tmp_path)
        return True

    assert processes(2, refused) == [True, True]
