"""Models asked in their chat form: when, and with which ids."""

import pytest
from tests.unit.conversations.conftest import CHATML, LIKE_GEMMA

from xmtf.errors import ConfigError
from xmtf.evaluation.engine.chat import ChatForm, ChatWish, choose_chat
from xmtf.evaluation.engine.encoding import Encoder, PromptRules
from xmtf.evaluation.harness.launch import _asking_in_chat
from xmtf.tokens.tokenizer.tokenizer import CHAT_KEY

TEMPLATE = {"chat_template": CHATML}


@pytest.mark.parametrize(
    ("wish", "about", "asked", "said"),
    [
        (ChatWish(), {}, False, None),
        (ChatWish(), TEMPLATE, True, "m is prompted in its chat format (--chat off prompts without it)"),
        (ChatWish(), TEMPLATE | {CHAT_KEY: {"chat": False}}, False, "without its chat template, as it was trained"),
        (ChatWish(), TEMPLATE | {CHAT_KEY: {"chat": True}}, True, "in its chat format, as it was trained"),
        (ChatWish(trained=False), TEMPLATE, False, "without its chat template, as it was trained"),
        (ChatWish(trained=True), {}, False, None),
        (ChatWish(trained=True, template=CHATML), {}, True, "in its chat format"),
        (ChatWish("on", trained=False), TEMPLATE, True, "in its chat format"),
        (ChatWish("off"), TEMPLATE | {CHAT_KEY: {"chat": True}}, False, None),
    ],
)
def test_auto_is_what_was_trained_else_the_template(wish, about, asked, said):
    form, line = choose_chat(wish, about, "m")
    assert (form is not None) == asked
    assert (line is None) == (said is None)
    assert said is None or said in line


def test_without_a_template_the_chat_form_is_refused():
    with pytest.raises(ConfigError, match="m has no chat template"):
        choose_chat(ChatWish("on"), {}, "m")


def test_what_the_export_records_of_arguments_counts():
    about = TEMPLATE | {CHAT_KEY: {"chat": True, "arguments": {"enable_thinking": False}}}
    assert choose_chat(ChatWish(), about, "m")[0].arguments == {"enable_thinking": False}
    assert choose_chat(ChatWish(arguments={"x": 1}), about, "m")[0].arguments == {"x": 1}


@pytest.mark.parametrize("source", [CHATML, LIKE_GEMMA])
def test_prompts_are_those_of_transformers_and_choices_have_no_end(tokenizer, theirs, source):
    encoder = Encoder(tokenizer.reading("text"), PromptRules(space_before_targets=False, chat=ChatForm(source, {})))
    texts = ["What is it?", "the city", "What is it?"]
    found = encoder.prompts(texts, [1, 1, 1])
    for text, each in zip(texts, found, strict=True):
        turns = [{"role": "user", "content": text}]
        wanted = theirs.apply_chat_template(turns, chat_template=source, add_generation_prompt=True)["input_ids"]
        assert list(each.ids) == wanted
        assert not each.truncated
    assert encoder.choices([["It is", "Köln"]]) == [tuple(tuple(tokenizer.encode([t])[0]) for t in ("It is", "Köln"))]


@pytest.mark.parametrize(("side", "kept"), [("left", "end"), ("right", "begin")])
def test_a_long_prompt_loses_its_text_and_keeps_its_template(tokenizer, side, kept):
    rules = PromptRules(max_prompt_tokens=24, max_total_tokens=30, truncation_side=side, chat=ChatForm(CHATML, {}))
    encoder = Encoder(tokenizer.reading("text"), rules)
    long, short = encoder.prompts(["begin " + "x " * 60 + "end", "x"], [10, 10])
    text = tokenizer.decode(long.ids, keep_special=True)
    assert long.truncated
    assert len(long.ids) <= 20
    assert text.startswith("<|im_start|>user\n")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert kept in text
    assert not short.truncated
    (none,) = encoder.prompts(["x x x"], [26])
    assert not none.fits


def test_the_harness_is_told_to_use_the_template(folder, tmp_path, tokenizer):
    model = ["--model_args", f"pretrained={tmp_path},dtype=float32"]
    tokenizer.described(TEMPLATE, ()).save(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert _asking_in_chat([*model]) == [*model, "--apply_chat_template"]
    assert _asking_in_chat(["--chat", "off", *model]) == model
    assert _asking_in_chat(["--chat=on", *model]) == [*model, "--apply_chat_template"]
    assert _asking_in_chat([*model, "--apply_chat_template"]) == [*model, "--apply_chat_template"]
    tokenizer.described(TEMPLATE | {CHAT_KEY: {"chat": False}}, ()).save(tmp_path)
    assert _asking_in_chat([*model]) == model
    with pytest.raises(ConfigError, match="--chat maybe"):
        _asking_in_chat(["--chat", "maybe", *model])
