"""Train a recipe with Ray Train: a process of xmtf in each of its workers.

    xmtf run recipes/smoke/bloom-tiny.yaml --until tokens
    python examples/ray_train.py recipes/smoke/bloom-tiny.yaml --workers 2 training.parallel.dp_shard=2

The run folder is on storage that all workers see, and the recipe's relative paths are those of the folder in which this
is started. What was interrupted resumes from its newest checkpoint, here or under torchrun.
"""

import argparse
import os
import socket
from pathlib import Path

from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer


def train(options: dict) -> None:
    """Be one of the processes that train; Ray has set what torchrun would have."""
    import torch.distributed
    from ray.train.collective import broadcast_from_rank_zero

    import xmtf

    torch.distributed.destroy_process_group()  # xmtf forms groups of its own, and its processes watch each other
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    os.environ["MASTER_PORT"] = str(broadcast_from_rank_zero(port))  # the old one may still be in use
    os.chdir(options["folder"])
    xmtf.train(options["recipe"], options["overrides"], tokens=options["tokens"])


def main() -> None:
    """Start the workers and wait for them."""
    import xmtf

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", action="store_true", help="A GPU for each worker.")
    options = parser.parse_intermixed_args()
    loaded = xmtf.load_recipe(options.recipe, options.overrides)
    TorchTrainer(
        train,
        train_loop_config={
            "recipe": options.recipe,
            "overrides": options.overrides,
            "folder": str(Path.cwd()),
            "tokens": str(loaded.run.tokens),
        },
        scaling_config=ScalingConfig(num_workers=options.workers, use_gpu=options.gpus),
        run_config=RunConfig(name=loaded.recipe.name, storage_path=str(Path(loaded.run_folder, ".ray").resolve())),
    ).fit()


if __name__ == "__main__":
    main()
