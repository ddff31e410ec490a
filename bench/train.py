"""Training speed: ours, plain transformers with padding, and TRL with packing, on the same data and weights.

    python bench/train.py --shape bloom-small
    python bench/train.py --shape bloom-small --trl-python /path/to/venv/with/trl/bin/python
    python bench/train.py --shape mt5-small --repeats 3

One thread. Work: forward and backward over all examples, gradients accumulated, no optimizer step. Figures: real
tokens per process CPU second (best of the repeats), and peak memory since the model was made. Each variant runs in
a process of its own; losses are printed beside, because a faster wrong answer is none: TRL's packed loss differs
where the model's code lets packed documents see each other. On a processor without bf16 instructions the bf16 products
of every side are computed in fp32 and rounded (xmtf.training.numerics.bf16): torch's own way takes hundreds of times
as long.

Data: pairs of random tokens with log-normal lengths, mean input 80 and mean target 12 tokens, as measured on prompted
mixtures (14 % of the tokens are targets); inputs and targets together at most 512.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

ROW, TARGET_ROW, MICRO_ROWS, PADDED_BATCH = 512, 128, 2, 4
SHAPES: dict[str, dict[str, Any]] = {
    "bloom-small": {"examples": 24, "hidden_size": 256, "n_layer": 4, "n_head": 8, "vocab_size": 250_880},
    "bloom-560m": {"examples": 8, "hidden_size": 1024, "n_layer": 24, "n_head": 16, "vocab_size": 250_880},
    "bloom-demo": {"examples": 96, "hidden_size": 256, "n_layer": 6, "n_head": 8, "vocab_size": 8_064},
    "toy": {"examples": 2, "hidden_size": 32, "n_layer": 1, "n_head": 2, "vocab_size": 1000},
    "mt5-small": {
        "examples": 24, "d_model": 256, "num_layers": 4, "num_heads": 8, "d_kv": 32, "d_ff": 512, "vocab_size": 250_112,
    },
}  # fmt: skip
Pairs = list[tuple[list[int], list[int]]]


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
    return transformers.BloomForCausalLM(transformers.BloomConfig(**keys, hidden_dropout=0.0, attention_dropout=0.0))


def run_ours(folder: Path, pairs: Pairs, shape: str, precision: str) -> Any:
    import torch

    from xmtf.models import load_model
    from xmtf.training.loss.head import Head
    from xmtf.training.loss.objective import Objective
    from xmtf.training.loss.targets import loss_scales, select_targets
    from xmtf.training.numerics.precision import compute_dtype, computing
    from xmtf.training.parallel.layout import clear_gradients

    model: Any = load_model(str(folder)).model
    model.train()
    model.accumulate_in_place = True
    head = Head(model, compute_dtype=compute_dtype(precision))
    objective = Objective(model, head, 1, torch.device("cpu"))
    batches = pack_encoder_decoder(pairs) if shape.startswith("mt5") else pack_causal(pairs)

    def work() -> float:
        clear_gradients(model.parameters())
        head.forget_casts()
        targets = [select_targets(batch, "token") for batch in batches]
        total = 0.0
        with computing(precision, torch.device("cpu")):
            for batch, part, scale in zip(batches, targets, loss_scales(targets, "token"), strict=True):
                total += float(objective(batch, part, scale).loss)
        return total

    return work


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


def pack_causal(pairs: Pairs) -> list[Any]:
    rows = first_fit(pairs, (ROW + 1,), lambda pair: (len(pair[0]) + len(pair[1]),))
    return [causal_batch(rows[start : start + MICRO_ROWS]) for start in range(0, len(rows), MICRO_ROWS)]


def causal_batch(rows: list[Pairs]) -> Any:
    tokens = np.full((len(rows), ROW + 1), 3, np.int64)
    segments = np.zeros((len(rows), ROW + 1), np.int32)
    is_input = np.zeros((len(rows), ROW + 1), bool)
    for index, row in enumerate(rows):
        start = 0
        for number, (inputs, targets) in enumerate(row, start=1):
            end = start + len(inputs) + len(targets)
            tokens[index, start:end] = inputs + targets
            segments[index, start:end] = number
            is_input[index, start : start + len(inputs)] = True
            start = end
    groups = np.zeros((len(rows), int(segments.max())), np.int32)
    return SimpleNamespace(tokens=tokens, segment_ids=segments, is_input=is_input, groups=groups)


def pack_encoder_decoder(pairs: Pairs) -> list[Any]:
    rows = first_fit(pairs, (ROW, TARGET_ROW), lambda pair: (len(pair[0]), len(pair[1])))
    return [encoder_decoder_batch(rows[start : start + MICRO_ROWS]) for start in range(0, len(rows), MICRO_ROWS)]


def encoder_decoder_batch(rows: list[Pairs]) -> Any:
    shape, target_shape = (len(rows), ROW), (len(rows), TARGET_ROW)
    encoder, encoder_ids = np.zeros(shape, np.int64), np.zeros(shape, np.int32)
    inputs_of_decoder, labels = np.zeros(target_shape, np.int64), np.zeros(target_shape, np.int64)
    ids = np.zeros(target_shape, np.int32)
    for index, row in enumerate(rows):
        begin = start = 0
        for number, (inputs, targets) in enumerate(row, start=1):
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


def run_transformers(folder: Path, pairs: Pairs, shape: str, precision: str) -> Any:
    import torch
    import transformers

    kind = transformers.AutoModelForSeq2SeqLM if shape.startswith("mt5") else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32).train()
    num_targets = sum(len(targets) for _, targets in pairs)
    batches = [pad(pairs[start : start + PADDED_BATCH], shape) for start in range(0, len(pairs), PADDED_BATCH)]

    def work() -> float:
        model.zero_grad(set_to_none=True)
        total = 0.0
        for batch in batches:
            with products(precision), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = model(**batch).loss * (batch["labels"] != -100).sum() / num_targets
            with products(precision):
                loss.backward()
            total += float(loss)
        return total

    return work


def products(precision: str) -> AbstractContextManager[Any]:
    """Return what bf16 products are computed in: the same on all sides, since torch's own slow way has no bounds."""
    import torch

    from xmtf.training.numerics.bf16 import ProductsInFp32
    from xmtf.training.numerics.precision import has_bf16

    return ProductsInFp32() if precision == "bf16" and not has_bf16(torch.device("cpu")) else nullcontext()


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


def run_trl(folder: Path, pairs: Pairs, shape: str, precision: str) -> Any:
    import datasets
    import torch
    import transformers
    import trl

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rows = [
        {"input_ids": inputs + targets, "completion_mask": [0] * len(inputs) + [1] * len(targets)}
        for inputs, targets in pairs
    ]
    positions = sum(len(inputs) + len(targets) for inputs, targets in pairs)
    steps = max(1, -(-positions // ROW) // MICRO_ROWS)
    settings = trl.SFTConfig(
        output_dir=str(folder / "trl"), packing=True, max_length=ROW, completion_only_loss=True, max_steps=1,
        per_device_train_batch_size=MICRO_ROWS, gradient_accumulation_steps=steps, learning_rate=0.0, optim="sgd",
        gradient_checkpointing=False, bf16=precision == "bf16", use_cpu=True, report_to="none", save_strategy="no",
        logging_steps=1, disable_tqdm=True, max_grad_norm=0.0,
    )  # fmt: skip

    def work() -> float:
        trainer = trl.SFTTrainer(
            model, args=settings, train_dataset=datasets.Dataset.from_list(rows), processing_class=any_tokenizer(folder)
        )
        with products(precision):
            return float(trainer.train().training_loss)

    return work


def any_tokenizer(folder: Path) -> Any:
    """Return a tokenizer with the special tokens that TRL asks for; the data are ids already."""
    import tokenizers
    import transformers

    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3}, "<unk>"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def measure(variant: str, folder: Path, shape: str, precision: str, repeats: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    pairs = make_pairs(SHAPES[shape]["examples"], SHAPES[shape]["vocab_size"])
    work = {"ours": run_ours, "transformers": run_transformers, "trl": run_trl}[variant](
        folder, pairs, shape, precision
    )
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    seconds, losses = [], []
    for _ in range(repeats):
        start = time.process_time()
        losses.append(work())
        seconds.append(time.process_time() - start)
    if max(losses) - min(losses) > 1e-6 * losses[0]:  # TRL's second trainer of a process leaves bf16
        sys.exit(f"{variant}: repeats did different work (losses {losses}); take --repeats 1")
    real = sum(len(inputs) + len(targets) for inputs, targets in pairs)
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return {
        "variant": variant, "shape": shape, "precision": precision, "tokens_per_cpu_s": real / min(seconds),
        "cpu_s": [round(value, 2) for value in seconds], "peak_gb": peak / 1e6, "loss": losses[-1],
    }  # fmt: skip


def compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_model(options.shape).save_pretrained(folder)
        results = []
        for variant in options.variants:
            python = options.trl_python if variant == "trl" else sys.executable
            if python is None:
                continue
            command = [python, __file__, "--shape", options.shape, "--precision", options.precision, "--one", variant]
            command += ["--folder", folder, "--repeats", str(options.repeats)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results.append(json.loads(output.strip().splitlines()[-1]))
            print_row(results[-1], results[0])
            check_loss(results[-1], results[0])


def check_loss(result: dict[str, Any], first: dict[str, Any]) -> None:
    """Stop where a variant computes another loss; TRL may, because packed BLOOM leaks in transformers' code."""
    tolerance = 1e-5 if result["precision"] == "fp32" else 1e-2
    difference = abs(result["loss"] - first["loss"]) / first["loss"]
    if result["variant"] != "trl" and difference > tolerance:
        sys.exit(f"losses differ by {difference:.1e}: the figures compare different work")


def print_row(result: dict[str, Any], first: dict[str, Any]) -> None:
    times = first["tokens_per_cpu_s"] / result["tokens_per_cpu_s"]
    name = f"{result['shape']:12} {result['precision']:5} {result['variant']:13}"
    speed = f"{result['tokens_per_cpu_s']:8.1f} tokens/CPU s  {result['peak_gb']:5.2f} GB"
    print(f"{name} {speed}  loss {result['loss']:.5f}  ours is {times:.2f}x  {result['cpu_s']}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="bloom-small")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--variants", nargs="+", default=["ours", "transformers", "trl"])
    parser.add_argument("--trl-python", help="Python of an environment with trl; without it TRL is left out")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.shape, options.repeats = "toy", 1
    if options.one is None:
        compare(options)
    else:
        print(json.dumps(measure(options.one, options.folder, options.shape, options.precision, options.repeats)))


if __name__ == "__main__":
    main()
