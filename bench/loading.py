"""Memory of a process while it loads the weights that training starts from, whole and in pieces.

    python bench/loading.py
    python bench/loading.py --shape bloom-1b1 --layouts single "dp_shard=2 tp=2"

Writes a BLOOM of random weights in bf16, then loads it as `xmtf train` does, in forked gloo processes on a CPU. "Held"
is the memory of its own (RssAnon, looked at every two milliseconds) that the process which needs most has over what it
had before, at the peak; files that are mapped are shared by the processes of a machine and not counted. "Share" is four
bytes for each number of that process's part.
"""

from __future__ import annotations

import argparse
import os
import pickle
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

SHAPES = {
    "bloom-560m": {"hidden_size": 1024, "num_layers": 24, "num_heads": 16, "vocab_size": 250_880},
    "bloom-1b1": {"hidden_size": 1536, "num_layers": 24, "num_heads": 16, "vocab_size": 250_880},
    "toy": {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 200},
}
LAYOUTS = ("single", "dp_shard=2", "tp=2", "pp=2", "dp_shard=2 tp=2", "dp_shard=2 pp=2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="bloom-560m")
    parser.add_argument("--layouts", nargs="+", default=LAYOUTS)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.shape, options.layouts = "toy", ("single", "dp_shard=2")
    import torch
    import torch.distributed.checkpoint
    import torch.distributed.fsdp
    import torch.distributed.pipelining

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model"
        if os.fork() == 0:  # apart, so that memory it gave back is not there to be used again
            write(model, options.shape)
            os._exit(0)
        assert os.wait()[1] == 0
        print(f"{options.shape}, {sum(path.stat().st_size for path in model.iterdir()) / 1e9:.3f} GB in bf16")
        print("| layout | share GB | held at the peak GB | seconds |\n| --- | ---: | ---: | ---: |")
        for layout in options.layouts:
            share, held, seconds = measure(layout, model, options.shape, Path(name))
            print(f"| {layout} | {share / 1e9:.3f} | {held / 1e9:.3f} | {seconds:.1f} |", flush=True)


def recipe_of(shape: str, layout: str) -> Any:
    from xmtf.recipe.schema import Recipe

    dims = dict(part.split("=") for part in layout.split() if "=" in part)
    training = {"steps": 1, "global_batch_rows": 8, "micro_batch_rows": 1, "device": "cpu", "threads": 1}
    model = {"architecture": "bloom"} | SHAPES[shape]
    values = {"name": "load", "mixture": {"tasks": [{}]}, "model": model, "training": training | {"parallel": dims}}
    return Recipe.model_validate(values)


def write(folder: Path, shape: str) -> None:
    import torch

    from xmtf.models import SpecialTokens, build_model
    from xmtf.models.build import random_weights
    from xmtf.models.save import save_tensors

    recipe = recipe_of(shape, "single")
    size, special = recipe.model.vocab_size, SpecialTokens(3, 2, 1)
    model: Any = build_model(recipe.model, vocab_size=size, special=special, seed=0, device="meta")
    save_tensors(random_weights(model, 0), model.config, folder, tokenizer=None, dtype=torch.bfloat16)


def measure(layout: str, model: Path, shape: str, folder: Path) -> tuple[int, int, float]:
    """Return share, memory and seconds of the process that holds most."""
    from xmtf.parallel.topology.mesh import resolve_dims

    parallel = recipe_of(shape, layout).training.parallel
    size = parallel.dp_shard * parallel.tp * parallel.pp
    assert resolve_dims(parallel, size).total == size
    meeting = Path(tempfile.mkdtemp(dir=folder))
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            (meeting / f"{rank}.result").write_bytes(pickle.dumps(load(rank, size, layout, model, shape, meeting)))
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    return max((pickle.loads(path.read_bytes()) for path in meeting.glob("*.result")), key=lambda found: found[1])


def load(rank: int, size: int, layout: str, model: Path, shape: str, meeting: Path) -> tuple[int, int, float]:
    import torch

    from xmtf.parallel.topology.mesh import build_mesh
    from xmtf.parallel.topology.ranks import ALONE, Ranks
    from xmtf.training.parallel.layout import cut_model
    from xmtf.training.start import start_model

    ranks = ALONE
    if size > 1:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        store = torch.distributed.FileStore(str(meeting / "store"), size)
        torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
        ranks = Ranks(rank, size)
    recipe, cpu = recipe_of(shape, layout), torch.device("cpu")
    mesh = build_mesh(recipe.training.parallel, ranks, cpu)
    watch, begun = Watch(), time.perf_counter()
    start = start_model(str(model), recipe.model, seed=0, in_pieces=mesh.dims.splits)
    cut = cut_model(start.model, recipe.training, mesh, cpu, start.stored)
    seconds = time.perf_counter() - begun
    held = watch.stop()
    tables = {id(table.piece): table.weight.numel() for table in cut.tables}
    share = sum(tables.get(id(piece), piece.local.numel()) for piece in cut.pieces.values())
    return 4 * share, held, seconds


class Watch:
    """The most memory of its own that this process has, over what it had."""

    def __init__(self) -> None:
        self._before = self._most = own_memory()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Return it, in bytes."""
        self._ended.set()
        self._thread.join()
        return self._most - self._before

    def _look(self) -> None:
        while not self._ended.wait(0.002):
            self._most = max(self._most, own_memory())


def own_memory() -> int:
    """Return resident memory that is no file's, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon")


if __name__ == "__main__":
    main()
