"""CPU seconds to open a model: tokenizer and weights of a GGUF file beside those of a folder.

    OMP_NUM_THREADS=1 python bench/starts.py
    OMP_NUM_THREADS=1 python bench/starts.py --kinds gpt2

Writes models of random weights with invented vocabularies as a folder (safetensors, ``tokenizer.json``) and as a GGUF
file of the same numbers, and opens each in a process of its own, whose imports are not timed. Prints CPU seconds, the
ratio to the folder, and whether both give the same ids and logits.

Kinds: ``llama`` and ``qwen2``, whose weights our own reader reads; ``gpt2`` (byte-level merges, transposed weights) and
``gemma2`` (a SentencePiece vocabulary of 256,000 tokens without merges), whose weights go through transformers.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from apart import run_apart

KINDS = ("llama", "qwen2", "gpt2", "gemma2")
VOCAB = {"llama": 32_000, "qwen2": 151_936, "gpt2": 50_257, "gemma2": 256_000}
HIDDEN, INNER, LAYERS, HEADS = 256, 1024, 24, 4
TEXT = "bacad fagaha bebi; cobadu? " * 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.open:
        print(json.dumps(open_model(options.open)))
        return
    if options.toy:
        options.kinds = ["gpt2"]
    print("| kind | vocabulary | tokenizer: GGUF / folder | weights: GGUF / folder | GGUF takes | same ids, logits |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for kind in options.kinds:
        size, layers = (600, 1) if options.toy else (VOCAB[kind], LAYERS)
        with tempfile.TemporaryDirectory() as name:
            gguf, folder = write_model(kind, size, layers, Path(name))
            found = []
            for path in (gguf, folder):
                command = [sys.executable, __file__, "--open", str(path)]
                done = run_apart(command, forked=options.toy)
                if done.returncode:
                    sys.exit(f"{kind}: failed: {done.stderr.strip().splitlines()[-1]}")
                found.append(json.loads(done.stdout.strip().splitlines()[-1]))
        ours, theirs = found
        whole = [one["tokenizer"] + one["weights"] for one in found]
        same = ours["ids"] == theirs["ids"], np.allclose(ours["logits"], theirs["logits"], atol=1e-4)
        print(
            f"| {kind} | {size:,} | {ours['tokenizer']:.2f} / {theirs['tokenizer']:.2f} s"
            f" | {ours['weights']:.2f} / {theirs['weights']:.2f} s | {whole[0] / whole[1]:.1f}x"
            f" | {', '.join('yes' if one else 'no' for one in same)} |",
            flush=True,
        )


def open_model(path: Path) -> dict[str, Any]:
    """Open tokenizer and model as evaluation does; return CPU seconds, ids of a text and a few logits."""
    import torch
    import transformers

    from xmtf.models import load_model
    from xmtf.tokens.tokenizer.loading import load_tokenizer

    torch.set_num_threads(1)
    for name in KINDS:  # imports are not timed
        config = transformers.AutoConfig.for_model(name)
        assert transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    for name in ("Llama", "Gemma", "GPT2"):
        assert getattr(transformers, f"{name}Tokenizer")
    transformers.logging.set_verbosity_error()
    begun = time.process_time()
    tokenizer = load_tokenizer(path)
    read = time.process_time()
    model = load_model(str(path)).model
    ended = time.process_time()
    with torch.inference_mode():
        logits = model.logits(model.hidden_states(torch.arange(5, 25)[None]))[0, -1, :50]
    ids = [int(number) for number in tokenizer.encode([TEXT])[0]]
    return {"tokenizer": read - begun, "weights": ended - read, "ids": ids, "logits": logits.tolist()}


def write_model(kind: str, size: int, layers: int, folder: Path) -> tuple[Path, Path]:
    """Write a model as a GGUF file and as a folder; return both paths."""
    import gguf
    import torch

    from xmtf.tokens.tokenizer.loading import load_tokenizer

    torch.manual_seed(0)
    network = build_network(kind, size, layers)
    path = folder / f"{kind}.gguf"
    writer = gguf.GGUFWriter(path, kind)
    writer.add_name("invented")
    writer.add_context_length(256)
    writer.add_block_count(layers)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_layer_norm_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10_000.0)
    if kind == "gemma2":
        writer.add_key_length(HIDDEN // HEADS)
        writer.add_value_length(HIDDEN // HEADS)
        writer.add_sliding_window(128)
    add_vocabulary(writer, kind, size)
    architecture = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}[kind]
    names = gguf.get_tensor_name_map(architecture, layers)
    for name, tensor in network.state_dict().items():
        if name == "lm_head.weight":
            continue
        stem, _, suffix = name.rpartition(".")
        own = names.get_name(stem)
        if own is not None:
            writer.add_tensor(f"{own}.{suffix}", as_llama_cpp(kind, own, tensor.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    network.save_pretrained(folder / "folder")
    load_tokenizer(path).save(folder / "folder")
    return path, folder / "folder"


def build_network(kind: str, size: int, layers: int) -> Any:
    import transformers

    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": True}
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=size, n_embd=HIDDEN, n_layer=layers, n_head=HEADS, n_inner=INNER, n_positions=256, **special
        )
        return transformers.GPT2LMHeadModel(config)
    shape = {
        "vocab_size": size, "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": layers,
        "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "max_position_embeddings": 256,
    }  # fmt: skip
    more = {"head_dim": HIDDEN // HEADS, "sliding_window": 128} if kind == "gemma2" else {}
    names = {"llama": "Llama", "qwen2": "Qwen2", "gemma2": "Gemma2"}
    config = getattr(transformers, f"{names[kind]}Config")(**shape, **more, **special, rms_norm_eps=1e-6)
    return getattr(transformers, f"{names[kind]}ForCausalLM")(config)


def as_llama_cpp(kind: str, name: str, values: np.ndarray) -> np.ndarray:
    """Return a tensor as llama.cpp's converter writes it."""
    if kind == "llama" and name.endswith(("attn_q", "attn_k")):
        values = values.reshape(HEADS, 2, values.shape[0] // HEADS // 2, -1).swapaxes(1, 2).reshape(values.shape)
    elif kind == "gpt2" and values.ndim == 2 and ".".join(name.split(".")[2:]):
        values = values.T
    elif kind == "gemma2" and "norm" in name:
        values = values + 1
    return np.ascontiguousarray(values)


def add_vocabulary(writer: Any, kind: str, size: int) -> None:
    """Write an invented vocabulary: every longer token is one of two others, joined."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    pieces = kind in ("llama", "gemma2")
    alphabet = [*"▁abcdefghijklmnopqrstuvwxyz.,;:?!"] if pieces else list(bytes_to_unicode().values())
    tokens = ["<pad>", "<s>", "</s>", "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)] * pieces
    kinds = [3, 3, 3, 2 if pieces else 3] + [6] * (256 * pieces)
    merges, known, draw = [], list(alphabet), random.Random(0)
    seen = set(known)
    while len(tokens) + len(known) < size:
        first, second = draw.choice(known), known[draw.randrange(min(len(known), 1000))]
        joined = first + second
        if len(joined) > 20 or joined in seen or "▁" in second:
            continue
        seen.add(joined)
        known.append(joined)
        merges.append(f"{first} {second}")
    writer.add_tokenizer_model("llama" if pieces else "gpt2")
    writer.add_token_list(tokens + known)
    writer.add_token_types(kinds + [1] * len(known))
    if pieces:
        writer.add_token_scores([0.0] * len(tokens) + [-float(place) for place in range(len(known))])
    else:
        writer.add_token_merges(merges)
    for name, number in (("pad", 0), ("bos", 1), ("eos", 2), ("unk", 3)):
        getattr(writer, f"add_{name}_token_id")(number)


if __name__ == "__main__":
    main()
