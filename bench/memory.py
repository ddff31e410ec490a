"""The memory estimate beside measured peaks: whole training steps of small BLOOM and mT5 on the CPU.

    python bench/memory.py
    python bench/memory.py --only mt5 --json

Two optimizer steps of the training loop's own step on random rows, one thread; spread layouts in two forked gloo
processes, of which the one that needs most counts. Measured: the most resident memory of the process (VmHWM, reset
before each case) over what it had before the model was made. The allocator is told to give freed memory back at once
(MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ of glibc), so what is resident is what is in use. Each case has a
process of its own: after many others one comes out up to 35 MB higher. The estimate is
`xmtf.training.planning.memory.Estimator` with the shares of predicted positions, and of scores inside documents, that
the rows have.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
BLOOM = {"architecture": "bloom", "hidden_size": 256, "num_layers": 4, "num_heads": 8, "vocab_size": 2048}
MT5 = {
    "architecture": "mt5", "hidden_size": 192, "num_layers": 3, "num_heads": 6, "head_size": 32,
    "feedforward_size": 512, "vocab_size": 2048,
}  # fmt: skip
# name -> model, keys of the training section, rows of a micro-batch, micro-batches, lengths of rows
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], int, int, tuple[int, int]]] = {
    "bloom": (BLOOM, {}, 2, 2, (512, 0)),
    "bloom, long rows": (BLOOM, {}, 1, 2, (1024, 0)),
    "bloom, many rows": (BLOOM | {"num_layers": 3}, {}, 8, 2, (256, 0)),
    "bloom, one micro-batch": (BLOOM, {}, 2, 1, (512, 0)),
    "bloom, deep": (BLOOM | {"hidden_size": 128, "num_layers": 16}, {}, 2, 2, (512, 0)),
    "bloom, large vocabulary": (BLOOM | {"hidden_size": 128, "vocab_size": 100_000}, {}, 2, 2, (512, 0)),
    "bloom, bf16": (BLOOM, {"precision": "bf16"}, 2, 2, (512, 0)),
    "bloom, bf16_pure": (BLOOM, {"precision": "bf16_pure"}, 2, 2, (512, 0)),
    "bloom, checkpointing": (BLOOM, {"activation_checkpointing": True}, 4, 2, (512, 0)),
    "bloom, bf16, checkpointing": (BLOOM, {"activation_checkpointing": True, "precision": "bf16"}, 4, 2, (512, 0)),
    "bloom, dropout": (BLOOM | {"dropout": 0.1}, {}, 2, 2, (512, 0)),
    "bloom, adafactor": (BLOOM, {"optimizer": {"name": "adafactor"}}, 2, 2, (512, 0)),
    "mt5": (MT5, {}, 2, 2, (512, 256)),
    "mt5, adafactor, bf16": (MT5, {"optimizer": {"name": "adafactor"}, "precision": "bf16"}, 2, 2, (512, 256)),
    "mt5, checkpointing": (MT5, {"activation_checkpointing": True}, 4, 2, (512, 256)),
    "mt5, dropout": (MT5 | {"dropout": 0.1}, {}, 2, 2, (512, 256)),
    "mt5, large vocabulary": (MT5 | {"hidden_size": 128, "vocab_size": 60_000}, {}, 2, 2, (256, 128)),
    "bloom, adapters": (BLOOM | {"lora": {"rank": 8}}, {}, 2, 2, (512, 0)),
    "bloom, adapters, bf16": (BLOOM | {"lora": {"rank": 8}}, {"precision": "bf16"}, 2, 2, (512, 0)),
    "mt5, adapters, bf16": (MT5 | {"lora": {"rank": 8}}, {"precision": "bf16"}, 2, 2, (512, 256)),
    "bloom, FSDP2 x2": (BLOOM, {"parallel": {"dp_shard": 2}}, 2, 4, (256, 0)),
    "bloom, TP x2": (BLOOM, {"parallel": {"tp": 2}}, 2, 2, (256, 0)),
    "bloom, PP x2": (BLOOM, {"parallel": {"pp": 2}}, 4, 4, (256, 0)),
    "bloom, interleaved PP x2": (BLOOM, {"parallel": {"pp": 2, "schedule": "interleaved"}}, 4, 4, (256, 0)),
    "bloom, PP x2, checkpointing": (BLOOM, {"parallel": {"pp": 2}, "activation_checkpointing": True}, 4, 4, (512, 0)),
    "mt5, FSDP2 x2": (MT5, {"parallel": {"dp_shard": 2}}, 2, 4, (256, 128)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="Only cases whose name holds this.")
    parser.add_argument("--case", help="One case by its name, in this process.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.only = "one micro-batch"
    elif any(os.environ.get(key) != value for key, value in _ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _ENVIRONMENT | {"OMP_NUM_THREADS": "1"})
    if options.case:
        measure("bloom")  # loads everything that is loaded once
        print(json.dumps(measure(options.case)))
        return
    results = []
    for name in (name for name in CASES if options.only in name):
        command = [sys.executable, __file__, "--case", name]
        results.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        if not options.json:
            print(_line(results[-1]), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print(f"farthest from 1: {max((abs(result['ratio'] - 1), result['case']) for result in results)}")


def _line(result: dict[str, Any]) -> str:
    parts = ", ".join(f"{part} {value / 1e6:.1f}" for part, value in result["parts"].items())
    estimated, measured = result["estimated"] / 1e6, result["measured"] / 1e6
    return (
        f"{result['case']:<28} {estimated:7.1f} MB estimated {measured:7.1f} measured {result['ratio']:6.3f} ({parts})"
    )


def measure(name: str) -> dict[str, Any]:
    """Return estimate and measured peak of a case, in bytes."""
    from xmtf.models import SpecialTokens, build_model
    from xmtf.parallel.topology.mesh import resolve_dims
    from xmtf.training.planning.candidate import Candidate
    from xmtf.training.planning.memory import Estimator
    from xmtf.training.start import adapt_model

    model, training, rows, micro, lengths = CASES[name]
    recipe = make_recipe(model, training, rows, micro, lengths)
    meta = build_model(
        recipe.model, vocab_size=model["vocab_size"], special=SpecialTokens(3, 2, 1), seed=0, device="meta"
    )
    adapt_model(meta, recipe.model, seed=0)
    shape = resolve_dims(recipe.training.parallel, 2 if "parallel" in training else 1)
    loader = Rows(recipe)
    peak = _alone(recipe, loader) if shape.total == 1 else _forked(recipe, loader, shape.total)
    estimate = Estimator.of(meta, recipe, loader.share, loader.attended).estimate(Candidate.of(recipe, shape))
    parts = {part: getattr(estimate, part) for part in ("weights", "gradients", "optimizer", "activations", "logits")}
    return {"case": name, "estimated": estimate.total, "measured": peak, "ratio": estimate.total / peak, "parts": parts}


def _alone(recipe: Any, loader: Rows) -> int:
    from xmtf.parallel.topology.ranks import ALONE

    return _peak(recipe, loader, ALONE)


def _forked(recipe: Any, loader: Rows, size: int) -> int:
    """Return the larger peak of forked processes, each measured from where torch.distributed runs."""
    import torch.distributed
    import torch.distributed.fsdp
    import torch.distributed.pipelining

    from xmtf.parallel.topology.ranks import Ranks

    with tempfile.TemporaryDirectory() as folder:
        children = []
        for rank in range(size):
            children.append(os.fork())
            if children[-1] == 0:
                os.environ["GLOO_SOCKET_IFNAME"] = "lo"
                store = torch.distributed.FileStore(f"{folder}/store", size)
                torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
                Path(folder, str(rank)).write_text(str(_ranked(recipe, loader, Ranks(rank, size))))
                os._exit(0)
        for child in children:
            os.waitpid(child, 0)
        return max(int(Path(folder, str(rank)).read_text()) for rank in range(size))


def _ranked(recipe: Any, loader: Rows, ranks: Any) -> int:
    tiny = recipe.model_copy(
        update={
            "model": recipe.model.model_copy(
                update={"hidden_size": 24, "num_heads": 2, "head_size": None, "vocab_size": 512}
            )
        }
    )
    two_steps(tiny, Rows(tiny), ranks)  # loads what is loaded once
    return _peak(recipe, loader, ranks)


def _peak(recipe: Any, loader: Rows, ranks: Any) -> int:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    two_steps(recipe, loader, ranks)
    return resident("VmHWM") - before


def make_recipe(
    model: dict[str, Any], training: dict[str, Any], rows: int, micro: int, lengths: tuple[int, int]
) -> Any:
    from xmtf.recipe.schema import Recipe

    packing = {"sequence_length": lengths[0]} | ({"target_length": lengths[1]} if lengths[1] else {})
    batch = {"steps": 2, "global_batch_rows": rows * micro, "micro_batch_rows": rows, "device": "cpu"}
    return Recipe.model_validate(
        {
            "name": "memory",
            "mixture": {"tasks": [{}]},
            "tokens": {"packing": packing},
            "model": model,
            "training": batch | training,
        }
    )


class Rows:
    """Random rows, of a causal row every seventh token a target."""

    group_names: tuple[tuple[str, str], ...] = (("en", "nli"),)

    def __init__(self, recipe: Any) -> None:
        self.recipe = recipe
        self.rows_per_step = recipe.training.global_batch_rows
        self.tokens_per_row = recipe.tokens.packing.sequence_length

    @property
    def share(self) -> float:
        """Share of decoder positions that are predicted."""
        from xmtf.training.loss.targets import select_targets

        packing = self.recipe.tokens.packing
        scored = len(select_targets(random_rows(self.recipe, 1, seed=0), "target").positions)
        return scored / (packing.target_length or packing.sequence_length)

    @property
    def attended(self) -> float:
        """Share of a row's square of scores that its documents' own squares take, on average."""
        import numpy as np

        rows = random_rows(self.recipe, self.rows_per_step, seed=0)
        ids = rows.segment_ids[:, :-1] if hasattr(rows, "segment_ids") else rows.encoder_segment_ids
        return float(np.mean(ids[:, :, None] == ids[:, None, :]))

    def batch(self, step: int, *, micro: int, num_micro: int) -> Any:
        """Return the rows of a micro-batch."""
        return random_rows(self.recipe, self.rows_per_step // num_micro, seed=step * num_micro + micro)


def two_steps(recipe: Any, loader: Rows, ranks: Any) -> None:
    import torch

    from xmtf.models import SpecialTokens, build_model
    from xmtf.training.assembly import LoopInputs, LoopOutputs, training_loop
    from xmtf.training.loop.events import Log
    from xmtf.training.start import Start, adapt_model

    torch.set_num_threads(1)
    model: Any = build_model(recipe.model, vocab_size=recipe.model.vocab_size, special=SpecialTokens(3, 2, 1), seed=0)
    adapt_model(model, recipe.model, seed=0)
    nowhere = Path(os.devnull)
    outputs = LoopOutputs(nowhere, Log(nowhere), "", ranks)
    loop = training_loop(Start(model, model.family), recipe, LoopInputs(loader), outputs)
    for index in range(2):
        assert loop.step(index, loop.feed.get(index)).updated
    loop.feed.close()


def random_rows(recipe: Any, rows: int, seed: int) -> Any:
    """Return packed rows of 20 examples of several lengths, as of xP3; of causal ones every seventh is a target."""
    import numpy as np

    rng, vocab_size, packing = np.random.default_rng(seed), recipe.model.vocab_size, recipe.tokens.packing

    def segments(length: int) -> Any:
        begins = np.zeros((rows, length), np.int32)
        for row in begins:
            row[[0, *(1 + rng.choice(length - 1, 19, replace=False))]] = 1
        return begins.cumsum(axis=1, dtype=np.int32)

    groups = np.zeros((rows, 20), np.int32)
    if recipe.model.architecture == "bloom":
        length = packing.sequence_length + 1
        return SimpleNamespace(
            tokens=rng.integers(5, vocab_size, (rows, length)),
            segment_ids=segments(length),
            is_input=np.tile(np.arange(length) % 7 > 0, (rows, 1)),
            groups=groups,
        )
    targets = rng.integers(5, vocab_size, (rows, packing.target_length))
    return SimpleNamespace(
        encoder_tokens=rng.integers(5, vocab_size, (rows, packing.sequence_length)),
        encoder_segment_ids=segments(packing.sequence_length),
        decoder_inputs=targets,
        decoder_targets=targets,
        decoder_segment_ids=segments(packing.target_length),
        groups=groups,
    )


def resident(key: str) -> int:
    """Return a line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {key}")


if __name__ == "__main__":
    main()
