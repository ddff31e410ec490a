"""Training speed: ours, the strongest short loop, padded transformers, and TRL, on the same data and weights.

    python bench/train.py --shape bloom-small
    python bench/train.py --shape bloom-demo --rows 256 512 1024 2048 4096 --variants short ours --repeats 3
    python bench/train.py --shape llama-demo --variants short ours transformers
    python bench/train.py --shape bloom-small --trl-python /path/to/venv/with/trl/bin/python

One thread. Work: forward and backward over all examples, gradients accumulated, no optimizer step; what is set up once
(loading, packing, padding, TRL's trainer) is outside the clock on every side. Figures: real tokens per process CPU
second (best of the repeats), CPU seconds, and peak memory since the model was made. ``short`` is the strongest short
loop (``short_loops/train.py``), which the others are compared with. Each variant runs in a process of its own; losses
are printed beside, because a faster wrong answer is none: TRL's packed loss differs where the model's code lets packed
documents see each other. On a processor without bf16 instructions the bf16 products
of every side are computed in fp32 and rounded (xmtf.training.numerics.bf16): torch's own way takes hundreds of times
as long.

Data: pairs of random tokens with log-normal lengths, mean input 80 and mean target 12 tokens, as measured on prompted
mixtures (14 % of the tokens are targets); inputs and targets together at most 512, and no longer than the shortest row.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from apart import run_apart

TARGET_ROW, MICRO_POSITIONS, PADDED_BATCH = 128, 1024, 4
TRL_ROW = 512
SHAPES: dict[str, dict[str, Any]] = {
    "bloom-small": {"examples": 24, "hidden_size": 256, "n_layer": 4, "n_head": 8, "vocab_size": 250_880},
    "bloom-560m": {"examples": 8, "hidden_size": 1024, "n_layer": 24, "n_head": 16, "vocab_size": 250_880},
    "bloom-demo": {"examples": 96, "hidden_size": 256, "n_layer": 6, "n_head": 8, "vocab_size": 8_064},
    "llama-demo": {
        "examples": 96, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8,
        "num_key_value_heads": 4, "vocab_size": 8_064,
    },
    "toy": {"examples": 3, "hidden_size": 32, "n_layer": 1, "n_head": 2, "vocab_size": 1000},
    "mt5-small": {
        "examples": 24, "d_model": 256, "num_layers": 4, "num_heads": 8, "d_kv": 32, "d_ff": 512, "vocab_size": 250_112,
    },
}  # fmt: skip
Pairs = list[tuple[list[int], list[int]]]
Work = Callable[[], tuple[float, float]]
"""Does all examples once; returns the loss and CPU seconds."""


def make_pairs(count: int, vocab_size: int) -> Pairs:
    rng = np.random.default_rng(131)  # 2,210 real tokens of 24 examples, 14 % of them targets
    pairs = []
    for _ in range(count):
        num_inputs = int(np.clip(rng.lognormal(np.log(80) - 0.32, 0.8), 2, 384))
        num_targets = int(np.clip(rng.lognormal(np.log(12) - 0.4, 0.9), 1, 100))
        draw = rng.integers(10, vocab_size - 200, num_inputs + num_targets).tolist()
        pairs.append((draw[:num_inputs], [*draw[num_inputs:], 2]))
    return pairs


def make_model(shape: str) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    keys = {key: value for key, value in SHAPES[shape].items() if key != "examples"}
    if shape.startswith("mt5"):
        config = transformers.MT5Config(**keys, dropout_rate=0.0, tie_word_embeddings=False)
        return transformers.MT5ForConditionalGeneration(config)
    if shape.startswith("llama"):
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**keys, max_position_embeddings=4096))
    return transformers.BloomForCausalLM(transformers.BloomConfig(**keys, hidden_dropout=0.0, attention_dropout=0.0))


def run_ours(folder: Path, pairs: Pairs, options: argparse.Namespace) -> Work:
    import torch

    from xmtf.models import load_model
    from xmtf.training.loss.head import Head
    from xmtf.training.loss.objective import Objective
    from xmtf.training.loss.targets import loss_scales, select_targets
    from xmtf.training.numerics.precision import compute_dtype, computing
    from xmtf.training.parallel.layout import clear_gradients

    shape, precision = options.shape, options.precision
    model: Any = load_model(str(folder)).model
    model.train()
    model.accumulate_in_place = True
    if shape.startswith("llama"):
        model.by_document = model.ragged_fault is None
    head = Head(model, compute_dtype=compute_dtype(precision))
    objective = Objective(model, head, 1, torch.device("cpu"))
    pack = pack_encoder_decoder if shape.startswith("mt5") else pack_causal
    batches = pack(pairs, options.row)

    def step() -> float:
        clear_gradients(model.parameters())
        head.forget_casts()
        targets = [select_targets(batch, "token") for batch in batches]
        total = 0.0
        with computing(precision, torch.device("cpu")):
            for batch, part, scale in zip(batches, targets, loss_scales(targets, "token"), strict=True):
                total += float(objective(batch, part, scale).loss)
        return total

    return timed(step)


def run_short(folder: Path, pairs: Pairs, options: argparse.Namespace) -> Work:
    import torch

    from short_loops.train import training_pass

    model = kind_of_model(options.shape).from_pretrained(folder, dtype=torch.float32).train()
    work = training_pass(model, pairs, encoder_decoder=options.shape.startswith("mt5"))

    def step() -> float:
        with products(options.precision), torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            return work()

    return timed(step)


def first_fit(pairs: Pairs, rooms: tuple[int, ...], sizes: Any) -> list[Pairs]:
    """Return rows of pairs, long ones first, each side within its room."""
    rows: list[Pairs] = []
    for pair in sorted(pairs, key=lambda pair: -sum(sizes(pair))):
        for row in rows:
            used = [sum(part) for part in zip(*(sizes(other) for other in [*row, pair]), strict=True)]
            if all(size <= room for size, room in zip(used, rooms, strict=True)):
                row.append(pair)
                break
        else:
            rows.append([pair])
    return rows


def micro_batches(rows: list[Pairs], row: int) -> list[list[Pairs]]:
    """Return rows in micro-batches of about as many positions, whatever the row's length."""
    count = max(1, MICRO_POSITIONS // row)
    return [rows[start : start + count] for start in range(0, len(rows), count)]


def pack_causal(pairs: Pairs, row: int) -> list[Any]:
    rows = first_fit(pairs, (row + 1,), lambda pair: (len(pair[0]) + len(pair[1]),))
    return [causal_batch(part, row) for part in micro_batches(rows, row)]


def causal_batch(rows: list[Pairs], row: int) -> Any:
    tokens = np.full((len(rows), row + 1), 3, np.int64)
    segments = np.zeros((len(rows), row + 1), np.int32)
    is_input = np.zeros((len(rows), row + 1), bool)
    for index, packed in enumerate(rows):
        start = 0
        for number, (inputs, targets) in enumerate(packed, start=1):
            end = start + len(inputs) + len(targets)
            tokens[index, start:end] = inputs + targets
            segments[index, start:end] = number
            is_input[index, start : start + len(inputs)] = True
            start = end
    groups = np.zeros((len(rows), int(segments.max())), np.int32)
    return SimpleNamespace(tokens=tokens, segment_ids=segments, is_input=is_input, groups=groups)


def pack_encoder_decoder(pairs: Pairs, row: int) -> list[Any]:
    rows = first_fit(pairs, (row, row * TARGET_ROW // 512), lambda pair: (len(pair[0]), len(pair[1])))
    return [encoder_decoder_batch(part, row) for part in micro_batches(rows, row)]


def encoder_decoder_batch(rows: list[Pairs], row: int) -> Any:
    shape, target_shape = (len(rows), row), (len(rows), row * TARGET_ROW // 512)
    encoder, encoder_ids = np.zeros(shape, np.int64), np.zeros(shape, np.int32)
    inputs_of_decoder, labels = np.zeros(target_shape, np.int64), np.zeros(target_shape, np.int64)
    ids = np.zeros(target_shape, np.int32)
    for index, packed in enumerate(rows):
        begin = start = 0
        for number, (inputs, targets) in enumerate(packed, start=1):
            encoder[index, begin : begin + len(inputs)] = inputs
            encoder_ids[index, begin : begin + len(inputs)] = number
            labels[index, start : start + len(targets)] = targets
            inputs_of_decoder[index, start : start + len(targets)] = [0, *targets[:-1]]
            ids[index, start : start + len(targets)] = number
            begin, start = begin + len(inputs), start + len(targets)
    return SimpleNamespace(
        encoder_tokens=encoder, encoder_segment_ids=encoder_ids, decoder_inputs=inputs_of_decoder,
        decoder_targets=labels, decoder_segment_ids=ids, groups=np.zeros((len(rows), int(encoder_ids.max())), np.int32),
    )  # fmt: skip


def kind_of_model(shape: str) -> Any:
    import transformers

    return transformers.AutoModelForSeq2SeqLM if shape.startswith("mt5") else transformers.AutoModelForCausalLM


def run_transformers(folder: Path, pairs: Pairs, options: argparse.Namespace) -> Work:
    import torch

    shape, precision = options.shape, options.precision
    model = kind_of_model(shape).from_pretrained(folder, dtype=torch.float32).train()
    num_targets = sum(len(targets) for _, targets in pairs)
    batches = [pad(pairs[start : start + PADDED_BATCH], shape) for start in range(0, len(pairs), PADDED_BATCH)]

    def step() -> float:
        model.zero_grad(set_to_none=True)
        total = 0.0
        for batch in batches:
            with products(precision), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = model(**batch).loss * (batch["labels"] != -100).sum() / num_targets
            with products(precision):
                loss.backward()
            total += loss.item()
        return total

    return timed(step)


def timed(step: Callable[[], float]) -> Work:
    """Return what does a step and returns its loss and CPU seconds."""

    def work() -> tuple[float, float]:
        start = time.process_time()
        loss = step()
        return loss, time.process_time() - start

    return work


def products(precision: str) -> AbstractContextManager[Any]:
    """Return what bf16 products are computed in: the same on all sides, since torch's own slow way has no bounds."""
    if precision == "fp32":
        return nullcontext()
    import torch

    from xmtf.training.numerics.bf16 import ProductsInFp32
    from xmtf.training.numerics.precision import has_bf16

    return nullcontext() if has_bf16(torch.device("cpu")) else ProductsInFp32()


def pad(pairs: Pairs, shape: str) -> dict[str, Any]:
    import torch

    encoder_decoder = shape.startswith("mt5")
    read = [inputs if encoder_decoder else inputs + targets for inputs, targets in pairs]
    labels = [targets if encoder_decoder else [-100] * len(inputs) + targets for inputs, targets in pairs]

    def table(rows: list[list[int]], filler: int) -> Any:
        width = max(map(len, rows))
        return torch.tensor([row + [filler] * (width - len(row)) for row in rows])

    mask = table([[1] * len(row) for row in read], 0)
    return {"input_ids": table(read, 3), "attention_mask": mask, "labels": table(labels, -100)}


def run_trl(folder: Path, pairs: Pairs, options: argparse.Namespace) -> Work:
    """One step of TRL over all packed rows; its clock runs from the first micro-batch to the optimizer's step."""
    import datasets
    import torch
    import transformers
    import trl

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rows = [
        {"input_ids": inputs + targets, "completion_mask": [0] * len(inputs) + [1] * len(targets)}
        for inputs, targets in pairs
    ]
    seconds: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            seconds.append(-time.process_time())

        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            seconds[-1] += time.process_time()

    def trainer(steps: int) -> Any:
        settings = trl.SFTConfig(
            output_dir=str(folder / "trl"), packing=True, max_length=TRL_ROW, completion_only_loss=True, max_steps=1,
            per_device_train_batch_size=MICRO_POSITIONS // TRL_ROW, gradient_accumulation_steps=steps, optim="sgd",
            learning_rate=0.0, gradient_checkpointing=False, bf16=options.precision == "bf16", use_cpu=True,
            report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True, max_grad_norm=0.0,
        )  # fmt: skip
        return trl.SFTTrainer(
            model, args=settings, train_dataset=datasets.Dataset.from_list(rows), callbacks=[Clock()],
            processing_class=any_tokenizer(folder),
        )  # fmt: skip

    num_rows = len(trainer(1).train_dataset)
    steps = -(-num_rows // (MICRO_POSITIONS // TRL_ROW))

    def work() -> tuple[float, float]:
        with products(options.precision):
            loss = float(trainer(steps).train().training_loss)
        return loss, seconds[-1]

    return work


def any_tokenizer(folder: Path) -> Any:
    """Return a tokenizer with the special tokens that TRL asks for; the data are ids already."""
    import tokenizers
    import transformers

    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3}, "<unk>"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


VARIANTS: dict[str, Callable[[Path, Pairs, argparse.Namespace], Work]] = {
    "short": run_short,
    "ours": run_ours,
    "transformers": run_transformers,
    "trl": run_trl,
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    shape, variant = options.shape, options.one
    pairs = make_pairs(SHAPES[shape]["examples"], SHAPES[shape]["vocab_size"])
    pairs = [pair for pair in pairs if sum(map(len, pair)) <= options.longest]
    work = VARIANTS[variant](options.folder, pairs, options)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    losses, seconds = zip(*(work() for _ in range(options.repeats)), strict=True)
    if max(losses) - min(losses) > 1e-6 * losses[0]:  # TRL's second trainer of a process leaves bf16
        sys.exit(f"{variant}: repeats did different work (losses {losses}); take --repeats 1")
    real = sum(len(inputs) + len(targets) for inputs, targets in pairs)
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return {
        "variant": f"ours, rows of {options.row}" if variant == "ours" else NAMES[variant], "shape": shape,
        "precision": options.precision, "tokens_per_cpu_s": real / min(seconds),
        "cpu_s": [round(value, 2) for value in seconds], "peak_gb": peak / 1e6, "loss": losses[-1],
    }  # fmt: skip


NAMES = {"short": "strongest short loop", "transformers": "transformers, padded", "trl": "TRL, packed"}


def compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_model(options.shape).save_pretrained(folder)
        rows = {"ours": options.rows}
        wanted = [(variant, row) for variant in options.variants for row in rows.get(variant, options.rows[:1])]
        print(f"{options.shape}, {options.precision}")
        print(f"{'':22}{'tokens / CPU s':>15}{'of the first':>14}{'peak GB':>9}{'loss':>10}  CPU s")
        results = []
        for variant, row in wanted:
            python = options.trl_python if variant == "trl" else sys.executable
            if python is None:
                continue
            command = [python, __file__, "--shape", options.shape, "--precision", options.precision, "--one", variant]
            command += ["--folder", folder, "--repeats", str(options.repeats), "--row", str(row)]
            command += ["--longest", str(min(options.rows))]
            done = run_apart(command, forked=options.toy and variant != "trl")
            done.check_returncode()
            results.append(json.loads(done.stdout.strip().splitlines()[-1]))
            print_row(results[-1], results[0])
            check_loss(results[-1], results[0])


def check_loss(result: dict[str, Any], first: dict[str, Any]) -> None:
    """Stop where a variant computes another loss; TRL may, because packed BLOOM leaks in transformers' code."""
    tolerance = 1e-5 if result["precision"] == "fp32" else 1e-2
    difference = abs(result["loss"] - first["loss"]) / first["loss"]
    if result["variant"] != NAMES["trl"] and difference > tolerance:
        sys.exit(f"losses differ by {difference:.1e}: the figures compare different work")


def print_row(result: dict[str, Any], first: dict[str, Any]) -> None:
    """Print how fast a variant is, also beside the first, which is the strongest short loop unless asked otherwise."""
    speed = result["tokens_per_cpu_s"]
    times = f"{speed / first['tokens_per_cpu_s']:.2f}x"
    print(
        f"{result['variant']:22}{speed:15.1f}{times:>14}{result['peak_gb']:9.2f}{result['loss']:10.5f}"
        f"  {result['cpu_s']}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="bloom-small")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--rows", nargs="+", type=int, default=[512, 2048], help="lengths of ours' packed rows")
    parser.add_argument("--trl-python", help="Python of an environment with trl; without it TRL is left out")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--longest", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.shape, options.repeats, options.rows = "toy", 1, [512]
    if options.one is None:
        compare(options)
    else:
        print(json.dumps(measure(options)))


if __name__ == "__main__":
    main()
