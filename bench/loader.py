"""What loading costs: CPU seconds of a batch beside those of a training step of the demo model.

    OMP_NUM_THREADS=1 python bench/loader.py [--recipe recipes/demo.yaml]
    OMP_NUM_THREADS=1 python bench/loader.py --ranks 4    # memory an item in each process of a machine

The token folder is made here: 52 languages, items with the lengths measured on prompted mixtures. The
step is forward and backward of the recipe's model on the same rows, without its optimizer, so the
share of loading is rather overstated.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from xmtf.files import Manifest, write_manifest
from xmtf.models import SpecialTokens, build_model, model_family
from xmtf.recipe import load_recipe
from xmtf.run_folder import tokenizer_of
from xmtf.tokens import Loader, StoreWriter, open_loader, train_tokenizer
from xmtf.tokens.build.encode import Ends
from xmtf.tokens.rows.shelf import UNSHARED, Shelf
from xmtf.tokens.store.prefixes import store_prefix

LANGUAGES = [f"l{number:02}" for number in range(52)]
ITEMS = 2000


def write_tokens(folder: Path, family: str, vocab_size: int, items: int) -> None:
    words = [f"w{number}" for number in range(4000)]
    tokenizer = train_tokenizer([[f" {word} {word}" for word in words]], vocab_size, family)  # type: ignore[arg-type]
    tokenizer.save(tokenizer_of(folder))
    random = np.random.RandomState(0)
    for language in LANGUAGES:
        files = store_prefix(folder, "bench", language)
        for prefix, mean, spread in ((files.inputs, 60, 0.7), (files.targets, 8, 0.8)):
            sizes = np.clip(random.lognormal(np.log(mean) - spread**2 / 2, spread, items), 1, 200).astype(np.int32)
            with StoreWriter(prefix, np.dtype("<u2")) as writer:
                writer.append(random.randint(4, tokenizer.vocab_size, int(sizes.sum())), sizes)
        np.save(files.clusters, random.randint(0, 5, items).astype(np.uint16))
    details: dict[str, Any] = {
        "family": family,
        "tokenizer": tokenizer.fingerprint,
        "prefix": "bench",
        "validation_fraction": 0.05,
        "ends": asdict(Ends(True)),
        "clusters": [f"cluster {number}" for number in range(5)],
        "dtype": "<u2",
        "begin_of_inputs": "",
        "vocab_size": tokenizer.vocab_size,
        "special": {"pad": tokenizer.pad, "eos": tokenizer.eos, "bos": tokenizer.bos},
        "languages": {
            language: {"in": items, "out": items, "input_tokens": 0, "target_tokens": 0, "bytes": 0, "dropped": {}}
            for language in LANGUAGES
        },
    }
    write_manifest(folder, Manifest("tokens", "bench", details=details))


def cpu_of(work: Callable[[int], Any], steps: range) -> float:
    """Return CPU seconds a step."""
    start = time.process_time()
    for step in steps:
        work(step)
    return (time.process_time() - start) / len(steps)


def step_of(loader: Loader, model: Any) -> Callable[[int], None]:
    import torch

    from xmtf.training.loss.head import Head
    from xmtf.training.loss.objective import Objective
    from xmtf.training.loss.targets import loss_scales, select_targets

    model.train()
    objective = Objective(model, Head(model), len(loader.group_names), torch.device("cpu"))
    batch: Any = loader.batch(0)
    targets = [select_targets(batch, "target")]
    scale = loss_scales(targets, "target")[0]

    def step(_: int) -> None:
        model.zero_grad(set_to_none=True)
        objective.head.forget_casts()
        objective(batch, targets[0], scale)

    return step


def own_bytes() -> int:
    """Return the bytes of this process that it shares with no other and that no file has."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return 1024 * int(line.split()[1])


def measure_rank(tokens: Path, loaded: Any, family: Any, shelf: Shelf, out: Path) -> None:
    """Open the tokens and plan the rows of an epoch; write what that took of this process's own memory."""
    before, start = own_bytes(), time.process_time()
    loader = open_loader(tokens, loaded, family=family, shelf=shelf)
    for language in loader.languages:
        while len(language.stream.planned_items()) < len(language.groups):
            language.stream.plan(language.stream.num_planned + 1)
    spent = time.process_time() - start
    total = sum(len(language.groups) for language in loader.languages)
    out.write_text(f"{(own_bytes() - before) / total:.1f} bytes an item of its own, {spent:.2f} CPU s")


def measure_ranks(tokens: Path, loaded: Any, family: Any, ranks: int) -> None:
    """Open the tokens in several processes at once, without and with what they share; print each one's memory."""
    for name in ("each by itself", "shared"):
        folder = tokens / name.replace(" ", "-")
        folder.mkdir()
        children = []
        for rank in range(ranks):
            if (child := os.fork()) == 0:
                shelf = Shelf(folder, rank == 0) if name == "shared" else UNSHARED
                measure_rank(tokens, loaded, family, shelf, tokens / f"rank-{rank}")
                os._exit(0)
            children.append(child)
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
        for rank in range(ranks):
            print(f"{name}, rank {rank}: {(tokens / f'rank-{rank}').read_text()}")
    files = sum(file.stat().st_size for file in (tokens / "shared").rglob("*") if file.is_file())
    print(f"shared files, once a machine: {files / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/demo.yaml"))
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    parser.add_argument("--ranks", type=int, help="Measure the memory of so many processes instead.")
    parser.add_argument("--items", type=int, default=20_000, help="Items of each language, with --ranks.")
    arguments = parser.parse_args()
    items, steps = (60, 2) if arguments.toy else (ITEMS, 400)
    loaded = load_recipe(arguments.recipe)
    family = model_family(loaded.recipe.model, offline=loaded.recipe.offline)
    vocab_size = loaded.recipe.tokens.tokenizer.train_vocab_size or 8192
    with tempfile.TemporaryDirectory() as name:
        if arguments.ranks:
            write_tokens(Path(name), family, vocab_size, 60 if arguments.toy else arguments.items)
            measure_ranks(Path(name), loaded, family, arguments.ranks)
            return
        write_tokens(Path(name), family, vocab_size, items)
        start = time.process_time()
        loader = open_loader(Path(name), loaded, family=family)
        loader.batch(0)
        print(f"opening {len(LANGUAGES)} languages of {items:,} items: {time.process_time() - start:.2f} CPU s")
        loading = cpu_of(lambda step: loader.batch(step), range(1, steps + 1))
        special = SpecialTokens(pad=loader.tokenizer.pad, eos=loader.tokenizer.eos, bos=loader.tokenizer.bos)
        model = build_model(loaded.recipe.model, vocab_size=vocab_size, special=special, seed=0)
        work = step_of(loader, model)
        work(0)
        training = cpu_of(work, range(-(-steps // 40)))
    rows, tokens = loader.rows_per_step, loader.tokens_per_row
    print(f"batch of {rows} rows x {tokens} tokens, fill {loader.fill:.1%}: {loading * 1e3:.2f} ms of CPU to load")
    print(f"forward and backward of {arguments.recipe}: {training * 1e3:.0f} ms of CPU")
    print(f"loading is {loading / training:.2%} of a step (aim 2 %), and runs in a thread beside it")


if __name__ == "__main__":
    main()
