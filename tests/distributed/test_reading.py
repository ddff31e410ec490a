"""A model that processes only read, each its own part: the scores and texts of one process, by any layout."""

import multiprocessing
import os
import re
import signal
import time
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_suites import ASKED, RANKED, Letters
from tiny_training import HUB, VOCABULARY, make_recipe
from torch.distributed import TCPStore

from xmtf.errors import ConfigError, DataError
from xmtf.evaluation.asking.journal import Journal, answer_missing, open_journal, plan_name, request_key
from xmtf.evaluation.engine.memory import fitting_positions
from xmtf.evaluation.engine.part import PartReader
from xmtf.evaluation.engine.processes import Processes, processes_of_torchrun
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generation_batches
from xmtf.evaluation.ranking.rank import rank, rank_batches
from xmtf.models import SpecialTokens, build_model, load_model
from xmtf.models.lora import adapters, add_adapters, save_adapters
from xmtf.models.save import save_model
from xmtf.parallel.topology.joining import reading_dims
from xmtf.parallel.topology.mesh import Mesh, mesh_of
from xmtf.recipe.schema import Lora
from xmtf.recipe.sections.processes import EvaluationParallel, Timeouts

CPU = torch.device("cpu")


def save(architecture, folder):
    if architecture in HUB:
        HUB[architecture][1]().network.save_pretrained(folder)
        return
    model = build_model(
        make_recipe(architecture, "single").model,
        vocab_size=VOCABULARY,
        special=SpecialTokens(pad=0, eos=1, bos=None),
        seed=5,
    )
    save_model(model, folder, tokenizer=None)


def together(ranks, parallel):
    parallel = EvaluationParallel(**parallel)
    mesh = mesh_of(reading_dims(parallel, parallel.copies(ranks.size)), ranks, CPU)
    return Processes(ranks.rank, ranks.size, 0, ranks, PartReader(mesh))


def read_part(folder, processes):
    return processes.reader.read(str(folder), CPU, torch.float32, processes.from_first, offline=True)


def asked(model, processes):
    """Return the answers of the batches of this process's copy, by the index of the request."""
    options = {"batch_tokens": 64, "processes": processes}
    found = {}
    for batch in rank_batches(model, Letters(), RANKED * 2, **options):
        found |= {index: answer.scores for index, answer in batch}
    decoding = Decoding(max_new_tokens=6)
    for batch in generation_batches(model, Letters(), ASKED, decoding=decoding, **options):
        found |= {100 + index: answer.text for index, answer in batch}
    return found


def read(ranks, folder, parallel):
    processes = together(ranks, parallel)
    processes.reader.check(str(folder), offline=True)
    model, weights = read_part(folder, processes)
    return asked(model, processes), weights, processes.leads, processes.name, fitting_positions(model)


@pytest.mark.parametrize(
    ("architecture", "size", "parallel"),
    [
        ("bloom", 2, {"tp": 2}),
        ("bloom", 2, {"pp": 2}),
        ("mt5", 2, {"tp": 2}),
        ("llama", 2, {"tp": 2}),
        ("llama", 2, {"pp": 2}),
        pytest.param("qwen3", 2, {"tp": 2}, marks=pytest.mark.slow),
        pytest.param("bloom", 4, {"tp": 2}, marks=pytest.mark.slow),
        pytest.param("bloom", 4, {"pp": 2}, marks=pytest.mark.slow),
        pytest.param("bloom", 4, {"pp": 4}, marks=pytest.mark.slow),
        pytest.param("bloom", 4, {"tp": 2, "pp": 2}, marks=pytest.mark.slow),
        pytest.param("qwen3", 4, {"tp": 2, "pp": 2}, marks=pytest.mark.slow),
        pytest.param("mt5", 4, {"tp": 2}, marks=pytest.mark.slow),
    ],
)
def test_a_cut_model_answers_as_a_whole_one(processes, tmp_path, architecture, size, parallel):
    save(architecture, tmp_path)
    whole = load_model(str(tmp_path))
    expected = asked(whole.model, Processes())
    copies = size // EvaluationParallel(**parallel).processes
    found = processes(size, read, tmp_path, parallel)
    by_copy = {}
    for answers, weights, leads, name, _ in found:
        assert weights == whole.fingerprint
        assert leads == (name not in by_copy)
        assert by_copy.setdefault(name, answers) == answers  # the same bits wherever a copy is
    assert len(by_copy) == copies
    everything = {index: answer for answers in by_copy.values() for index, answer in answers.items()}
    assert sum(map(len, by_copy.values())) == len(everything) == len(expected)
    for index, answer in expected.items():
        assert everything[index] == (answer if index >= 100 else pytest.approx(answer, abs=1e-5))


@pytest.mark.parametrize(
    ("architecture", "parallel", "refused"),
    [
        ("mt5", {"pp": 2}, r"evaluation\.parallel\.pp: only causal models can be split into pipeline stages, not MT5"),
        ("llama", {"pp": 5}, r"5 pipeline stages for 2 blocks, an embedding and a head; set at most 4"),
        ("bloom", {"tp": 3}, r"evaluation\.parallel\.tp: 2 attention heads are not divisible among 3 processes \("),
        ("bloom", {"pp": 6}, r"6 pipeline stages for 3 blocks, an embedding and a head; set at most 5"),
    ],
)
def test_a_layout_that_a_model_cannot_be_read_under_is_refused_by_its_shape(tmp_path, architecture, parallel, refused):
    save(architecture, tmp_path)
    parallel = EvaluationParallel(**parallel)
    mesh = Mesh(reading_dims(parallel, 1))
    with pytest.raises(ConfigError, match=refused):
        PartReader(mesh).check(str(tmp_path), offline=True)


def damaged(ranks, folder):
    processes = together(ranks, {"tp": 2})
    try:
        read_part(folder, processes)
    except DataError as error:
        return str(error)


def test_a_process_names_weights_of_its_part_that_are_no_numbers(processes, tmp_path):
    save("bloom", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name in weights if name.endswith("dense_h_to_4h.weight"))
    weights[name][-1, 0] = torch.nan
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    first, last = processes(2, damaged, tmp_path)
    assert first is None
    assert name.removeprefix("transformer.") in last


def measured(rank, port, folder, out, dies):
    """Be a process of torchrun that evaluates; write down how many batches it asked."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)
    number = 0
    with processes_of_torchrun().joined(
        EvaluationParallel(tp=2), "cpu", Timeouts(silence=3), out / "flight"
    ) as processes:
        model, _ = read_part(folder, processes)
        journal = open_journal(out, "identity", processes)
        requests = {request_key(each): each for each in RANKED}

        def ask(chosen, known):
            nonlocal number
            for batch in rank_batches(model, Letters(), chosen, batch_tokens=8, processes=processes, known=known):
                yield batch
                number += 1
                if dies and rank == 1:
                    time.sleep(0.5)  # its sign of life, and what the first has written
                    os.kill(os.getpid(), signal.SIGKILL)

        answer_missing(journal, requests, plan_name(list(requests), 8), ask, label="ranking", unit="requests")
        (out / f"asked-{rank}").write_text(str(number))


def evaluated(folder, out, *, dies):
    agent, fork = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False), multiprocessing.get_context("fork")
    ranks = [fork.Process(target=measured, args=(rank, agent.port, folder, out, dies)) for rank in (0, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forked while threads run
        for process in ranks:
            process.start()
    for process in ranks:
        process.join()
    return [process.exitcode for process in ranks]


def test_answers_survive_a_process_that_is_killed_and_the_others_end(tmp_path, capfd):
    save("bloom", tmp_path / "model")
    out = tmp_path / "out"
    assert evaluated(tmp_path / "model", out, dies=True) == [1, -signal.SIGKILL]
    said = capfd.readouterr().err
    assert said.count("process 1 (") == 1
    # By the exchange that fails, or, on a busy machine, by its silence.
    assert re.search(r"(gives|gave) no sign of life.*, the last at .*; the same command resumes", said)
    assert f"(last exchanges of each process: {out / 'flight'})" in said
    assert (out / "flight" / "rank_0").stat().st_size > 0
    assert len(Journal(out, "identity")) == 1
    assert evaluated(tmp_path / "model", out, dies=False) == [0, 0]
    assert [(out / f"asked-{rank}").read_text() for rank in (0, 1)] == ["1", "1"]
    journal = Journal(out, "identity")
    expected = rank(load_model(str(tmp_path / "model")).model, Letters(), RANKED)
    for each, prediction in zip(RANKED, expected, strict=True):
        assert journal.answer(request_key(each)).scores == pytest.approx(prediction.scores, abs=1e-5)
    assert len(list(out.glob("answers-*.jsonl"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [{"tp": 2}, {"pp": 2}])
def test_a_model_with_adapters_is_cut_too(processes, tmp_path, parallel):
    save("bloom", tmp_path / "base")
    model = load_model(str(tmp_path / "base")).model
    add_adapters(model, Lora(rank=2), seed=3)
    for layer in adapters(model).values():
        torch.nn.init.normal_(layer.lora_B, std=0.2)
    save_adapters(model, tmp_path / "adapted", base=str(tmp_path / "base"))
    whole = load_model(str(tmp_path / "adapted"))
    expected = asked(whole.model, Processes())
    for answers, weights, *_ in processes(2, read, tmp_path / "adapted", parallel):
        assert weights == whole.fingerprint
        for index, answer in expected.items():
            assert answers[index] == (answer if index >= 100 else pytest.approx(answer, abs=1e-5))
