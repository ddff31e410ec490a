"""Layouts become one canonical form; what is no conversation has a reason."""

import pytest

from xmtf.conversations.messages import (
    BAD_TOOLS,
    EMPTY_TURN,
    NO_ANSWER,
    NO_MESSAGES,
    NO_QUESTION,
    NOT_MESSAGES,
    NOT_TEXT,
    UNKNOWN_ROLE,
    Conversation,
    UnfitConversationError,
    layout_of,
    read_conversation,
)

ASKED = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def read(row):
    return read_conversation(row, layout_of(list(row)))[0]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": ASKED},
        {"messages": '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'},
        {"messages": [*ASKED, {"role": "user", "content": "never answered"}]},
        {"messages": [{"role": "User ", "content": "q", "tool_calls": None}, {"role": "assistant", "content": "a"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, ASKED[1]]},
        {"messages": [{"role": "system", "content": " "}, *ASKED]},
        {"prompt": "q", "completion": "a"},
        {"prompt": ASKED[:1], "completion": ASKED[1:]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"conversation": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        {"inputs": "q", "targets": "a", "language": "fra"},
    ],
)
def test_every_layout_gives_the_same_conversation(row):
    found = read(row)
    assert list(found.messages) == ASKED
    assert Conversation.of_json(found.to_json()) == found
    assert found.plain() == ("q", "a")


def test_a_system_column_stands_first_unless_there_is_a_system_turn():
    assert read(
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"}
    ).plain() == (
        "System: s\n\nUser: q",
        "a",
    )
    own = [{"role": "system", "content": "own"}, *ASKED]
    assert read({"messages": own, "system": "s"}).messages[0]["content"] == "own"


def test_calls_of_functions_are_objects_without_the_nulls_of_parquet():
    call = {"type": "function", "id": "c1", "function": {"name": "f", "arguments": '{"x": 1}'}}
    messages = [
        ASKED[0],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "2", "tool_call_id": "c1", "name": None},
        ASKED[1],
    ]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"x": {"type": "int"}, "y": None}}}]
    found = read({"messages": messages, "tools": tools})
    assert found.messages[1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}, "id": "c1"}],
    }
    assert found.messages[2] == {"role": "tool", "content": "2", "tool_call_id": "c1"}
    assert found.tools[0]["function"]["parameters"] == {"x": {"type": "int"}}
    sharegpt = [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
        {"from": "observation", "value": "2"},
        {"from": "gpt", "value": "a"},
    ]
    calls = read({"conversations": sharegpt}).messages[1]["tool_calls"]
    assert calls == [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": None}, NO_MESSAGES),
        ({"messages": []}, NO_MESSAGES),
        ({"messages": "not json"}, NOT_MESSAGES),
        ({"messages": [None]}, NOT_MESSAGES),
        ({"messages": ["q", "a"]}, NOT_MESSAGES),
        ({"messages": {"role": "user"}}, NOT_MESSAGES),
        ({"messages": [{"role": "alien", "content": "q"}, ASKED[1]]}, UNKNOWN_ROLE),
        ({"messages": [{"role": None, "content": "q"}, ASKED[1]]}, UNKNOWN_ROLE),
        ({"messages": [{"role": 3, "content": "q"}, ASKED[1]]}, UNKNOWN_ROLE),
        ({"messages": [{"role": "user", "content": " \n"}, ASKED[1]]}, EMPTY_TURN),
        ({"messages": [ASKED[0], {"role": "assistant", "content": None}]}, EMPTY_TURN),
        ({"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}, ASKED[1]]}, NOT_TEXT),
        ({"messages": [{"role": "user", "content": 3}, ASKED[1]]}, NOT_TEXT),
        ({"messages": ASKED[:1]}, NO_ANSWER),
        ({"messages": ASKED[1:]}, NO_QUESTION),
        ({"messages": [{"role": "system", "content": "s"}, ASKED[1]]}, NO_QUESTION),
        ({"messages": ASKED, "tools": "text"}, BAD_TOOLS),
        ({"prompt": None, "completion": "a"}, EMPTY_TURN),
        ({"inputs": "q", "targets": None}, EMPTY_TURN),
    ],
)
def test_what_is_no_conversation_has_a_reason(row, reason):
    with pytest.raises(UnfitConversationError) as raised:
        read(row)
    assert raised.value.reason == reason


def test_reasoning_and_calls_are_part_of_the_plain_text():
    turns = (ASKED[0], {"role": "assistant", "content": "a", "reasoning_content": "because"})
    assert Conversation(turns).plain() == ("q", "because\na")
