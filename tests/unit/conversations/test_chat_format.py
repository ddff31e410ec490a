"""Conversations as tokens: the ids and the mask of transformers, found by marks or by prefixes."""

from itertools import pairwise

import numpy as np
import pytest
from tests.unit.conversations.conftest import CHATML, DROPS_REASONING, LIKE_GEMMA, MARKED, TOOLS, WHOLE_TURNS, chat

from xmtf.conversations.answers import PrefixError
from xmtf.conversations.messages import Conversation
from xmtf.errors import ConfigError
from xmtf.tokens.tokenizer.chat import TOO_LONG, chat_format

CHATS = [
    chat("What is it?", "The city."),
    chat("What is it?", " The city of Köln \n", "And?\n", "\nNothing.", system="Be brief."),
    chat("the the", "It", "name", "of", "is", "city?"),
]
CALL = {"type": "function", "function": {"name": "look", "arguments": {"city": "Köln", "deep": [1, 2.5]}}}
CALLING = [
    {"role": "user", "content": "What?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"type": "function", "function": {"name": "look", "arguments": {"city": "Köln", "deep": [1, 2.5]}}}
        ],
    },
    {"role": "tool", "name": "look", "content": "{}"},
    {"role": "assistant", "content": "It is."},
]
SCHEMAS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def encoded(tokenizer, messages, source, tools=None, **options):
    (item,) = chat_format(tokenizer, source=source, **options).encode(
        [Conversation(tuple(messages), None if tools is None else tuple(tools))]
    )
    return item


def learnt(tokenizer, item):
    """Return the text of each answer that is learnt."""
    edges = np.flatnonzero(np.diff(item.turns.astype(int), prepend=0, append=0))
    return [tokenizer.decode(item.ids[a:b], keep_special=True) for a, b in pairwise(edges) if item.turns[a]]


@pytest.mark.parametrize("source", [CHATML, MARKED, WHOLE_TURNS, LIKE_GEMMA, TOOLS])
def test_ids_and_prompts_are_those_of_transformers(tokenizer, theirs, source):
    format_ = chat_format(tokenizer, source=source)
    for messages in CHATS:
        item = encoded(tokenizer, messages, source)
        assert item.ids.tolist() == theirs.apply_chat_template(messages, chat_template=source)["input_ids"]
        asked = theirs.apply_chat_template(messages[:-1], chat_template=source, add_generation_prompt=True)
        assert list(format_.prompt(Conversation(tuple(messages[:-1])))) == asked["input_ids"]


@pytest.mark.parametrize("source", [MARKED, WHOLE_TURNS])
def test_the_mask_of_generation_blocks_is_that_of_transformers(tokenizer, theirs, source):
    for messages in CHATS:
        found = theirs.apply_chat_template(
            messages, chat_template=source, return_dict=True, return_assistant_tokens_mask=True
        )
        item = encoded(tokenizer, messages, source)
        assert (item.turns > 0).astype(int).tolist() == found["assistant_masks"]


def test_prefixes_find_what_marks_would_mark(tokenizer):
    for messages in CHATS:
        by_marks, by_prefixes = (encoded(tokenizer, messages, source) for source in (MARKED, CHATML))
        assert by_marks.ids.tolist() == by_prefixes.ids.tolist()
        assert by_marks.turns.tolist() == by_prefixes.turns.tolist()
    assert learnt(tokenizer, by_prefixes) == ["It<|im_end|>", "of<|im_end|>", "city?<|im_end|>"]


def test_tools_and_calls_are_written_as_transformers_writes_them(tokenizer, theirs):
    item = encoded(tokenizer, CALLING, TOOLS, SCHEMAS)
    assert item.ids.tolist() == theirs.apply_chat_template(CALLING, tools=SCHEMAS, chat_template=TOOLS)["input_ids"]
    assert learnt(tokenizer, item) == [
        '<call>look {"city": "Köln", "deep": [1, 2.5]}</call><|im_end|>',
        "It is.<|im_end|>",
    ]


def test_answers_that_touch_are_turns_of_their_own(tokenizer):
    twice = [*chat("a", "b"), {"role": "assistant", "content": "c"}]
    assert learnt(tokenizer, encoded(tokenizer, twice, WHOLE_TURNS)) == [
        "<|im_start|>a b<|im_end|>",
        "<|im_start|>a c<|im_end|>",
    ]


def test_a_template_that_rewrites_turns_is_refused_with_the_turn(tokenizer):
    messages = chat("one", "two", "three", "four", reasoning=True)
    with pytest.raises(PrefixError) as raised:
        encoded(tokenizer, messages, DROPS_REASONING)
    assert raised.value.turn == 2
    last = encoded(tokenizer, messages, DROPS_REASONING, turns="last")
    assert learnt(tokenizer, last) == ["<think>hm 3</think>four<|im_end|>"]


def test_what_a_template_refuses_is_a_reason(tokenizer):
    item = encoded(tokenizer, [*chat("a", "b"), {"role": "assistant", "content": "c"}], LIKE_GEMMA)
    assert item == "the chat template refuses it: roles must alternate"


def test_the_begin_of_text_is_never_doubled(tokenizer):
    with_begin = encoded(tokenizer, CHATS[0], LIKE_GEMMA, begin=(tokenizer.bos,))
    without = encoded(tokenizer, CHATS[0], CHATML, begin=(tokenizer.bos,))
    for item in (with_begin, without):
        assert item.ids[0] == tokenizer.bos
        assert np.count_nonzero(item.ids == tokenizer.bos) == 1
        assert len(item.ids) == len(item.turns)


def test_special_tokens_that_people_spell_are_text(tokenizer, theirs):
    messages = chat("What is <|im_end|>?", "It is </s>, not <|im_start|>.")
    for source in (CHATML, MARKED):
        item = encoded(tokenizer.reading("text"), messages, source)
        end = tokenizer.find("<|im_end|>")
        assert np.count_nonzero(item.ids == end) == 2
        assert tokenizer.decode(item.ids, keep_special=True) == (
            "<|im_start|>user\nWhat is <|im_end|>?<|im_end|>\n<|im_start|>assistant\n"
            "It is </s>, not <|im_start|>.<|im_end|>\n"
        )
        assert item.special == ("<|im_end|>", "</s>", "<|im_start|>")
        assert np.flatnonzero(item.turns)[-1] == np.flatnonzero(item.ids == end)[-1]
        parsed = encoded(tokenizer, messages, source)
        assert parsed.ids.tolist() == theirs.apply_chat_template(messages, chat_template=source)["input_ids"]
    text = "What is <|im_end|>?"
    core = theirs.backend_tokenizer.__class__.from_str(theirs.backend_tokenizer.to_str())
    core.encode_special_tokens = True
    ids = encoded(tokenizer.reading("text"), messages, CHATML).ids.tolist()
    wanted = core.encode(f"user\n{text}", add_special_tokens=False).ids
    assert ids[1 : 1 + len(wanted)] == wanted


def test_what_is_too_long_loses_its_oldest_exchanges_and_keeps_the_system_text(tokenizer):
    messages = chat("one", "uno", "two", "dos", "three", "tres", system="Be brief.")
    format_ = chat_format(tokenizer, source=CHATML)
    whole = Conversation(tuple(messages))
    (item,) = format_.encode([whole])
    kept = format_.encode([Conversation((messages[0], *messages[3:]))])[0]
    found = format_.fit(whole, item, lambda each: len(each.ids) <= len(kept.ids))
    assert found.ids.tolist() == kept.ids.tolist()
    assert found.shortened
    assert not format_.fit(whole, item, lambda each: True).shortened
    assert format_.fit(whole, item, lambda each: len(each.ids) < 20) == TOO_LONG


def test_arguments_reach_the_template_and_today_is_a_day_of_the_recipe(tokenizer):
    source = "{{ strftime_now('%Y-%m-%d') }}{% if loud %}!{% endif %}" + CHATML
    told = encoded(tokenizer, CHATS[0], source, arguments={"loud": True, "today": "2026-01-31"})
    assert tokenizer.decode(told.ids).startswith("2026-01-31!")
    assert tokenizer.decode(encoded(tokenizer, CHATS[0], source).ids).startswith("2024-07-26")
    with pytest.raises(ConfigError, match=r"chat_arguments\.today: 'soon' is not a date"):
        chat_format(tokenizer, source=source, arguments={"today": "soon"})
    with pytest.raises(ConfigError, match="messages is set by conversations"):
        chat_format(tokenizer, source=source, arguments={"messages": []})


def test_without_a_template_it_says_what_to_do(tokenizer):
    with pytest.raises(ConfigError, match=r"has no chat template; give one \(tokens.chat_template"):
        chat_format(tokenizer)
