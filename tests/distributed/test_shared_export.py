"""All processes write a model: the files of one process, byte for byte, also after a kill."""

import dataclasses
import json
import os
import signal
from functools import partial

import pytest
import torch
from tiny_training import HUB, make_loop, make_model, make_recipe, size
from transformers import AutoModelForCausalLM

import xmtf.models.hub.network
import xmtf.models.save
from xmtf.errors import UserError
from xmtf.models.files.weights import write_weights
from xmtf.models.hub.files import plan_hub_files, stored_tensors
from xmtf.models.load import load_model
from xmtf.models.save import save_model, save_tensors
from xmtf.parallel.topology.ranks import ALONE
from xmtf.training import shared_export as module
from xmtf.training.checkpoint import checkpoint, room
from xmtf.training.shared_export import SharedExport, plan_files, shared_export

MOST = {"llama": 8_000}
KEYS = {"start_s": 60, "export_s": 60}


def save_base(folder, architecture):
    """Write the model of transformers that training starts from, which has settings of generation of its own."""
    model = HUB[architecture][1]()
    model.network.generation_config.eos_token_id = [1, 7]
    (folder / "base").mkdir()
    model.save(folder / "base")


def train_and_save(ranks, folder, architecture, layout):
    loop = make_loop(ranks, folder, architecture, layout)
    loop.step(0, loop.feed.get(0))
    loop.feed.close()
    loop.saver.save(loop.progress)


def shape(architecture):
    with torch.device("meta"):
        return make_model(make_recipe(architecture, "single")).to("meta")


def export_of(folder, architecture):
    source, most = checkpoint.checkpoint_path(folder / "checkpoints", 0), MOST.get(architecture, 40_000)
    if architecture in HUB:
        recipe, base = make_recipe("bloom", "single"), str(folder / "base")
        found = shared_export(source, folder / "model", recipe, base=base, dtype=torch.bfloat16)
        files = plan_files(found.model, torch.bfloat16, most)
        return dataclasses.replace(found, work=folder / ".model.work", files=files)
    model = shape(architecture)
    files = plan_files(model, torch.bfloat16, most)
    return SharedExport(source, model, folder / ".model.work", torch.bfloat16, files)


def export_alone(folder, architecture, monkeypatch):
    """Write the model as one process does, in files as small."""
    one, alone = export_of(folder, architecture), folder / "alone"
    if architecture in HUB:
        monkeypatch.setattr(xmtf.models.hub.network, "SHARD_BYTES", MOST[architecture])
        model = load_model(str(folder / "base")).model
        checkpoint.load_weights(one.source, model)
        save_model(model, alone, tokenizer=None, dtype=torch.bfloat16)
    else:
        monkeypatch.setattr(xmtf.models.save, "write_weights", partial(write_weights, shard_bytes=40_000))
        tensors = checkpoint.read_weights(one.source, one.model)
        save_tensors(tensors, one.model.config, alone, tokenizer=None, dtype=torch.bfloat16)
    return one


def export(ranks, folder, architecture):
    return export_of(folder, architecture).write_files(ranks, **KEYS)


CASES = [
    pytest.param(("mt5", "TP x2", 2), marks=pytest.mark.slow),
    ("bloom", "FSDP2 x2", 3),
    pytest.param(("llama", "FSDP2 x2", 2), marks=pytest.mark.slow),
    pytest.param(("llama", "TP x2", 2), marks=pytest.mark.slow),
    ("llama", "FSDP2 x TP x4", 4),
]


def content(folder):
    """Return the bytes of a model's files; of the index, whose layout is nobody's concern, what it says."""
    return {
        path.name: json.loads(path.read_text()) if path.name.endswith(".index.json") else path.read_bytes()
        for path in sorted(folder.iterdir())
    }


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def trained(request, processes, tmp_path, monkeypatch):
    """Return the architecture, how many processes export, and the files that one process writes of the checkpoint."""
    architecture, layout, writers = request.param
    processes(size(layout), train_and_save, tmp_path, architecture, layout)
    if architecture in HUB:
        save_base(tmp_path, architecture)
    one = export_alone(tmp_path, architecture, monkeypatch)
    assert len(one.files) > writers
    return architecture, writers, content(tmp_path / "alone")


def finished(folder, architecture, hashes, monkeypatch):
    monkeypatch.setattr(module, "copy_tokenizer", lambda source, folder: folder.mkdir())
    export_of(folder, architecture).finish(folder / "model", hashes, tokenizer=folder / "model")
    return content(folder / "model")


def test_all_processes_write_what_one_would(trained, processes, tmp_path, monkeypatch):
    architecture, writers, alone = trained
    child = os.fork()
    if child == 0:  # killed while it writes its second file
        real = module.write_streamed
        written = []

        def write_and_die(path, tensors, read):
            if written:
                real(path, tensors, lambda name: os.kill(os.getpid(), signal.SIGKILL))
            written.append(path)
            return real(path, tensors, read)

        module.write_streamed = write_and_die
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
    if architecture in HUB:
        ours, theirs = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("model", "alone"))
        assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))
        assert ours.generation_config.eos_token_id == [1, 7]


def with_buffers():
    model = HUB["llama"][1]()
    model.network.model.register_buffer("scale", torch.ones(3))
    model.network.model.register_buffer("count", torch.tensor(7))
    model.network.model.register_buffer("passing", torch.ones(3), persistent=False)
    return model


@pytest.mark.parametrize("make", [HUB["llama"][1], HUB["qwen3"][1], with_buffers])
def test_files_of_a_model_of_transformers_are_those_that_it_would_save(make, tmp_path, monkeypatch):
    monkeypatch.setattr(xmtf.models.hub.network, "SHARD_BYTES", 20_000)
    model = make()
    model.network._weight_conversions = []  # as after from_pretrained; it sorts the names
    planned = plan_hub_files(stored_tensors(model), torch.float32, 20_000)
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    index = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    assert len(planned) > 2
    assert {key.removeprefix("network."): name for name, keys in planned.items() for key in keys} == index["weight_map"]


def test_models_that_transformers_renames_or_ties_otherwise_are_saved_whole(tmp_path):
    assert stored_tensors(HUB["neox"][1]()) is None
    tied = HUB["qwen3"][1]()  # its configuration does not tie the two
    tied.network.lm_head.weight = tied.network.model.embed_tokens.weight
    assert stored_tensors(tied) is None


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
