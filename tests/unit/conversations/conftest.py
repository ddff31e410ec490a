"""A small tokenizer that transformers reads too, and chat templates of the kinds that models have."""

import json

import pytest
import tokenizers

from xmtf.tokens import load_tokenizer

SPECIAL = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{{ '\n' }}"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WHOLE_TURNS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}<|im_start|>a {{ m.content }}<|im_end|>"
    "{% endgeneration %}{% else %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endif %}{% endfor %}"
)
LIKE_GEMMA = (
    "{{ bos_token }}{% set ns = namespace(first=true) %}{% if messages[0]['role'] == 'system' %}"
    "{% set before = messages[0]['content'] + '\n\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set before = '' %}{% set turns = messages %}{% endif %}"
    "{%- for m in turns -%}"
    "{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('roles must alternate') }}{%- endif -%}"
    "<|im_start|>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ (before if loop.first else '') + m['content'] | trim }}<|im_end|>\n"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|im_start|>model\n{%- endif -%}"
)
DROPS_REASONING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content and loop.last %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOLS = (
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% if m.tool_calls %}{% for c in m.tool_calls %}<call>{{ c.function.name }} {{ c.function.arguments | tojson }}"
    "</call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat(*contents, system=None, reasoning=False):
    """Return messages of a user and an assistant in turn."""
    turns = [] if system is None else [{"role": "system", "content": system}]
    for place, text in enumerate(contents):
        turn = {"role": ("user", "assistant")[place % 2], "content": text}
        turns.append(turn | ({"reasoning_content": f"hm {place}"} if reasoning and place % 2 else {}))
    return turns


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder of a byte-level BPE of 400 tokens with the ends of turns of ChatML."""
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(["user\nassistant\nsystem\nWhat is the name of the city? It is Köln."] * 9, trainer)
    found = tmp_path_factory.mktemp("chat-tokenizer")
    core.save(str(found / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>",
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "clean_up_tokenization_spaces": False,
    }
    (found / "tokenizer_config.json").write_text(json.dumps(config))
    return found


@pytest.fixture(scope="session")
def tokenizer(folder):
    return load_tokenizer(str(folder))


@pytest.fixture(scope="session")
def theirs(folder):
    """The same tokenizer in transformers."""
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(folder)
