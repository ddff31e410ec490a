"""The planner's figures for every released model, as the tables of docs/scaling.md have them.

    python bench/scaling.py

Published layouts (pipeline x tensor x data parallel, micro-batch rows) are those of the training scripts in
bigscience-workshop/bigscience, train/tr13-mtf, with ZeRO-1 (of 176B its bf16 optimizer, which shards alike); mT0 was
trained on TPUs, so only the planner's own choice stands there.
Arithmetic alone: the figures do not depend on the machine.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from xmtf.parallel.topology.gpus import GpuPool, find_gpu
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe import load_recipe
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.planner import Planned, Planner
from xmtf.training.preview import meta_model

RECIPES = Path(__file__).parents[1] / "recipes" / "train"
PUBLISHED = {
    "bloomz-560m": (1, 1, 32),
    "bloomz-1b1": (2, 1, 16),
    "bloomz-1b7": (2, 2, 16),
    "bloomz-3b": (2, 1, 64),
    "bloomz-7b1": (1, 1, 64),
    "bloomz-7b1-mt": (1, 1, 64),
    "bloomz-7b1-p3": (1, 1, 64),
    "bloomz": (72, 1, 4),
    "bloomz-mt": (72, 1, 4),
    "bloomz-p3": (72, 1, 4),
}
"""Pipeline, tensor and data parallel dims."""
CHOSEN_GPUS = {
    "mt0-small": 8, "mt0-base": 8, "mt0-large": 16, "mt0-xl": 32,
    "mt0-xxl": 64, "mt0-xxl-mt": 64, "mt0-xxl-p3": 64,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="The smallest model of each family alone.")
    toy = parser.parse_args().toy
    print("| recipe | A100-80 | layout | GiB | bubble | GB sent per step | s per step | tokens/s | MFU | hours |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in ("bloomz-560m", "mt0-small") if toy else (*PUBLISHED, *CHOSEN_GPUS):
        recipe = load_recipe(RECIPES / f"{name}.yaml").recipe
        pp, tp, data = PUBLISHED.get(name, (1, 1, CHOSEN_GPUS.get(name, 1)))
        gpus = pp * tp * data
        planner = Planner(meta_model(recipe, None), recipe, GpuPool(find_gpu("a100"), gpus, 80e9))
        if name in PUBLISHED:
            layout = Candidate(
                ParallelDims(pp, 1, data, tp), recipe.training.micro_batch_rows, checkpointing=True, gpu=True, zero=1
            )
            print(row(name, gpus, "published: ", planner.planned(layout)))
        if name == "bloomz":  # the layout that BLOOM was pretrained in, on as many GPUs
            pretraining = Candidate(
                ParallelDims(12, 1, 6, 4), recipe.training.micro_batch_rows, checkpointing=True, gpu=True, zero=1
            )
            print(row(name, gpus, "pretraining's: ", planner.planned(pretraining)))
        print_best(name, gpus, "chosen: ", planner)
        if recipe.training.validation_suites:
            print_best(name, gpus, "without suites: ", without_suites(name, planner))
    print(
        f"\nBLOOM's pretraining by these formulas: {pretraining_flops() / 1e12:.0f} TFLOP/s a GPU, reported about 150"
    )


def without_suites(name: str, planner: Planner) -> Planner:
    """Return the planner of a recipe that measures no suites as it trains, which a cut model does not take."""
    recipe = load_recipe(RECIPES / f"{name}.yaml", ["training.validation_suites=[]", "training.export=last"]).recipe
    return replace(planner, recipe=recipe)


def print_best(name: str, gpus: int, which: str, planner: Planner) -> None:
    best = planner.plan().recommended
    print(row(name, gpus, which, best) if best else f"| {name} | {gpus} | none fits | | | | | | | |")


def pretraining_flops() -> float:
    """Return operations a second and GPU, recomputation counted, of BLOOM's pretraining: 384 A100, 2 rows."""
    recipe = load_recipe(RECIPES / "bloomz.yaml").recipe
    machine = GpuPool(find_gpu("a100"), 384, 80e9)
    layout = Candidate(ParallelDims(pp=12, dp_shard=8, tp=4), 2, checkpointing=True, gpu=True, zero=1)
    return Planner(meta_model(recipe, None), recipe, machine).planned(layout).time.mfu * machine.gpu.peak * 4 / 3


def row(name: str, gpus: int, which: str, entry: Planned) -> str:
    fits = "" if entry.fits else " (does not fit)"
    time = entry.time
    return (
        f"| {name} | {gpus} | {which}{entry.layout} | {entry.memory.total / 2**30:.1f}{fits} | {time.bubble:.1%} | "
        f"{time.sent / 1e9:,.1f} | {time.seconds:.2f} | {entry.tokens_per_s:,.0f} | {time.mfu:.0%} | "
        f"{entry.hours:.1f} |"
    )


if __name__ == "__main__":
    main()
