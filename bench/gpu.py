"""One GPU in under ten minutes: speed, MFU, memory beside the estimate, kernels, int8, generation; others beside.

    python bench/gpu.py                      # everything, BLOOM of the 560m's and of the 7b1's shape
    python bench/gpu.py --parts train,int8   # some of it
    python bench/gpu.py --toy                # the smallest sizes, on any processor: whether it runs

Random weights, so nothing is downloaded. Without a GPU it refuses. Every part prints lines of its own as it ends, so
what a limit of time cuts off is the last part alone; a part that fails says so, the others run, and the exit code is 1.

``train``       optimizer steps of the training loop on packed rows: tokens a second, MFU, most memory of tensors beside
                the planner's estimate; in each way of attention that the GPU has
``peers``       as many tokens by transformers' model, by its own attention, and by TRL's trainer where it is installed
``kernels``     the ten kernels that take most of a step's time on the GPU, and how many one step starts
``int8``        reading and one token in bf16 and with weights in 8 bits: time, memory, agreement of best tokens
``generation``  greedy texts of one length: ours beside transformers' ``generate``
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from memory import Rows, make_recipe

SHAPES: dict[str, dict[str, Any]] = {
    "toy": {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 512},
    "560m": {"hidden_size": 1024, "num_layers": 24, "num_heads": 16, "vocab_size": 250_880},
    "7b1": {"hidden_size": 4096, "num_layers": 30, "num_heads": 32, "vocab_size": 250_880},
}
TRAINED = (  # shape, precision, recomputation, rows of a micro-batch, micro-batches
    ("560m", "bf16", False, 8, 2),
    ("7b1", "bf16_pure", True, 4, 2),
)
TOY = (("toy", "fp32", False, 2, 2),)
STEPS, LENGTH = 4, 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    import torch

    if not torch.cuda.is_available() and not options.toy:
        sys.exit("bench/gpu.py: this torch sees no GPU; run it where there is one, or with --toy")
    if unknown := set(options.parts.split(",")) - set(PARTS):
        sys.exit(f"bench/gpu.py: no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if options.device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}", flush=True)
    failed = [part for part in options.parts.split(",") if not ended(part, options)]
    if failed:
        sys.exit(f"bench/gpu.py: {', '.join(failed)}: failed, see above")


def ended(part: str, options: argparse.Namespace) -> bool:
    start = time.monotonic()
    try:
        for line in PARTS[part](options):
            print(f"{part:<11}{line}", flush=True)
    except Exception:  # noqa: BLE001 - printed whole; the script ends with an error, after the other parts
        traceback.print_exc()
        return False
    finally:
        free(options.device)
    print(f"{part:<11}took {time.monotonic() - start:.0f} s", flush=True)
    return True


def train(options: argparse.Namespace) -> Iterator[str]:
    for shape, precision, recomputed, rows, micro in TOY if options.toy else TRAINED:
        for attention in ("flex", "sdpa") if options.device.type == "cuda" else ("sdpa",):
            recipe = recipe_of(options, shape, precision, recomputed, rows, micro, attention)
            yield f"{shape} {precision} {attention}: {trained(recipe, options.device)}"
            free(options.device)


def trained(recipe: Any, device: Any) -> str:
    from xmtf.models import model_size
    from xmtf.training.loop.mfu import Meter, peak_flops
    from xmtf.training.planning.candidate import Candidate
    from xmtf.training.planning.memory import estimate_memory, peak_memory, size_text

    loop, loader = make_loop(recipe)
    size = model_size(loop.step.layout.model)
    meter = Meter(size, peak_flops(device, recipe.training.precision))
    batch = loop.feed.get(0)
    loop.step(0, batch)  # compiles, allocates the optimizer's state
    seconds = [clocked(device, partial(loop.step, 1 + index, batch)) for index in range(STEPS)]
    estimate = estimate_memory(loop.step.layout.model, recipe, Candidate.of(recipe), predicted_share=loader.share).total
    loop.feed.close()
    best = min(seconds)
    return (
        f"{batch.num_real / best:,.0f} tokens/s, MFU {meter.mfu(meter.flops(batch), best):.1%}, "
        f"{size_text(peak_memory(device))} measured, {size_text(estimate)} estimated"
    )


def peers(options: argparse.Namespace) -> Iterator[str]:
    for shape, precision, recomputed, rows, _ in TOY if options.toy else TRAINED:
        speed = transformers_speed(options, shape, precision, recomputed, rows)
        yield f"{shape} transformers {precision}: {speed:,.0f} tokens/s"
        free(options.device)
    try:
        import trl  # noqa: F401 - whether it is there
    except ImportError:
        yield "TRL is not installed here: not measured"
        return
    shape, precision, recomputed, rows, _ = (TOY if options.toy else TRAINED)[0]
    yield f"{shape} TRL {precision}, packed: {trl_speed(options, shape, precision, recomputed, rows):,.0f} tokens/s"


def transformers_speed(options: argparse.Namespace, shape: str, precision: str, recomputed: bool, rows: int) -> float:
    """Return tokens a second of AdamW steps on rows that are full, so that nothing is lost to padding."""
    import torch

    model = transformers_model(shape, options.device).train()
    model = model.to(torch.bfloat16) if precision == "bf16_pure" else model
    if recomputed:
        model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    tokens = torch.randint(5, SHAPES[shape]["vocab_size"], (rows, length(options)), device=options.device)

    def step() -> None:
        with torch.autocast(options.device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    return tokens.numel() / min(clocked(options.device, step) for _ in range(STEPS))


def trl_speed(options: argparse.Namespace, shape: str, precision: str, recomputed: bool, rows: int) -> float:
    import datasets
    import numpy as np
    import trl

    from train import any_tokenizer

    size, steps = length(options), STEPS + 1
    draw = np.random.default_rng(0).integers(5, SHAPES[shape]["vocab_size"], (rows * steps, size))
    with tempfile.TemporaryDirectory() as folder:
        settings = trl.SFTConfig(
            output_dir=folder, packing=False, max_length=size, max_steps=steps, per_device_train_batch_size=rows,
            gradient_checkpointing=recomputed, bf16=precision == "bf16", use_cpu=options.device.type == "cpu",
            report_to="none", save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = trl.SFTTrainer(
            transformers_model(shape, options.device), args=settings, processing_class=any_tokenizer(Path(folder)),
            train_dataset=datasets.Dataset.from_dict({"input_ids": draw.tolist()}),
        )  # fmt: skip
        return float(rows * size * steps / clocked(options.device, trainer.train))


def kernels(options: argparse.Namespace) -> Iterator[str]:
    from torch.profiler import ProfilerActivity, profile

    shape, precision, recomputed, rows, micro = (TOY if options.toy else TRAINED)[0]
    loop, _ = make_loop(recipe_of(options, shape, precision, recomputed, rows, micro, "auto"))
    batch = loop.feed.get(0)
    loop.step(0, batch)
    gpu = options.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]) as found:
        loop.step(1, batch)
    loop.feed.close()

    def spent(event: Any) -> float:
        return float(event.self_device_time_total if gpu else event.self_cpu_time_total)

    events = sorted(found.key_averages(), key=spent, reverse=True)
    whole = sum(map(spent, events)) or 1.0
    yield f"{shape}: {sum(event.count for event in events if spent(event)):,} started in a step of {whole / 1e3:.1f} ms"
    for event in events[:10]:
        yield f"  {spent(event) / whole:6.1%} {event.count:6,} x {event.key[:90]}"


def int8(options: argparse.Namespace) -> Iterator[str]:
    import torch

    from xmtf.models import quantise_model

    shape = "toy" if options.toy else "7b1"
    tokens = torch.randint(5, SHAPES[shape]["vocab_size"], (2, 16 if options.toy else 512))
    best: dict[str, Any] = {}
    for kind in ("bf16", "int8"):
        model = our_model(shape, options.device, torch.float32 if options.toy else torch.bfloat16)
        if kind == "int8":
            quantise_model(model, "int8", "weights")
        held = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
        rows = tokens.to(options.device)
        with torch.inference_mode():
            best[kind] = model.logits(model.hidden_states(rows)).argmax(-1).cpu()
            reading = min(clocked(options.device, partial(model.hidden_states, rows)) for _ in range(3))
            cache = model.new_cache()
            model.hidden_states(rows[:1, :-9], cache=cache)
            next_token = partial(model.hidden_states, rows[:1, -1:], cache=cache)
            one = min(clocked(options.device, next_token) for _ in range(3))
        same = float((best[kind] == best["bf16"]).float().mean())
        yield (
            f"{shape} {kind}: {held / 1e9:.2f} GB, reading {rows.numel() / reading:,.0f} tokens/s, "
            f"one token {1e3 * one:.2f} ms, best tokens {same:.1%} as bf16"
        )
        del model
        free(options.device)


def generation(options: argparse.Namespace) -> Iterator[str]:
    import generate

    count, new = (2, 4) if options.toy else (64, 128)
    with tempfile.TemporaryDirectory() as folder:
        settings = argparse.Namespace(
            model=None, toy=options.toy, folder=Path(folder), batch=count, tokens=new, case="plain", prompts=count,
            device=options.device,
        )  # fmt: skip
        generate.save_model(settings, Path(folder))
        texts: dict[str, Any] = {}
        for way, load in (("ours", generate.load_ours), ("transformers", generate.load_transformers)):
            vocab_size, write = load(settings, None)
            prompts = generate.make_prompts(settings, vocab_size)
            write(prompts[:2])
            start = time.perf_counter()
            texts[way] = write(prompts)  # texts are on the CPU: nothing is left to wait for
            speed = count * new / (time.perf_counter() - start)
            same = sum(a == b for a, b in zip(texts[way], texts["ours"], strict=True))
            yield f"SmolLM2-135M's shape, fp32, {way}: {speed:,.0f} new tokens/s, {same} texts as ours"
            free(options.device)


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "train": train, "peers": peers, "kernels": kernels, "int8": int8, "generation": generation
}  # fmt: skip


def length(options: argparse.Namespace) -> int:
    return 32 if options.toy else LENGTH


def recipe_of(
    options: argparse.Namespace, shape: str, precision: str, recomputed: bool, rows: int, micro: int, attention: str
) -> Any:
    keys = {"precision": precision, "activation_checkpointing": recomputed, "attention": attention, "steps": STEPS + 1}
    keys |= {"device": options.device.type}
    return make_recipe({"architecture": "bloom"} | SHAPES[shape], keys, rows, micro, (length(options), 0))


def make_loop(recipe: Any) -> tuple[Any, Rows]:
    import os

    from xmtf.training.assembly import LoopInputs, LoopOutputs, training_loop
    from xmtf.training.loop.events import Log
    from xmtf.training.start import Start

    keys, loader = recipe.model, Rows(recipe)
    model = our_model(
        {row["hidden_size"]: name for name, row in SHAPES.items()}[keys.hidden_size], recipe.training.device
    )
    nowhere = Path(os.devnull)
    return training_loop(
        Start(model, "causal"), recipe, LoopInputs(loader), LoopOutputs(nowhere, Log(nowhere), "")
    ), loader


def our_model(shape: str, device: Any, dtype: Any = None) -> Any:
    """Return a BLOOM with random weights, drawn where it computes: a CPU would take minutes for the 7b1's."""
    import torch

    from xmtf.models import SpecialTokens, build_model
    from xmtf.recipe.schema import Model

    keys = SHAPES[shape]
    config = Model(architecture="bloom", **keys)
    special = SpecialTokens(3, 2, 1)
    model: Any = build_model(config, vocab_size=keys["vocab_size"], special=special, seed=0, device="meta")
    model = model.to(dtype or torch.float32).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    for name, parameter in model.named_parameters():
        model.draw(name, parameter, generator)
    return model.eval()


def transformers_model(shape: str, device: Any) -> Any:
    import torch
    import transformers

    keys = SHAPES[shape]
    config = transformers.BloomConfig(
        vocab_size=keys["vocab_size"], hidden_size=keys["hidden_size"], n_layer=keys["num_layers"],
        n_head=keys["num_heads"], hidden_dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    with torch.device(device):
        return transformers.BloomForCausalLM(config)


def clocked(device: Any, work: Callable[[], object]) -> float:
    """Return the wall seconds of some work, until the GPU is done with it."""
    import torch

    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def free(device: Any) -> None:
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
