"""What replaces pretrained models and engines where the commands of a page are run."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["save_toy_chat_model", "write_toy_engine"]

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_ENGINE = """
import re, sys
def letter(c):
    if sys.argv[1] == "ar":
        return chr(0x627 + (ord(c.lower()) - 97) % 20)
    return "aeiou"[("aeiou".index(c) + 2) % 5] if c in "aeiou" else c
for line in sys.stdin:
    parts = re.split(r'(<x id="\\d"/>)', line.rstrip("\\n"))
    print("".join(p if n % 2 else re.sub("[A-Za-z]", lambda m: letter(m[0]), p) for n, p in enumerate(parts)))
"""


def save_toy_chat_model(folder: Path) -> Path:
    """Write a Llama of a few thousand weights with a tokenizer of bytes and a chat template."""
    import torch
    import transformers
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    core = Tokenizer(
        models.BPE({token: n for n, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}, [])
    )
    core.add_special_tokens([AddedToken(token, special=True) for token in special])
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=special[2],
        pad_token=special[0],
        chat_template=_TEMPLATE,
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        eos_token_id=2,
        pad_token_id=0,
        bos_token_id=None,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def write_toy_engine(path: Path) -> str:
    """Write a program that changes letters, and return how ``--engine`` names it."""
    path.write_text(_ENGINE, encoding="utf-8")
    return f"'command:{sys.executable} {path} {{target}}'"
