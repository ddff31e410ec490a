"""Conversations of a mixture as items of tokens, and prompted examples that become conversations.

An item is the whole conversation: its inputs are the tokens up to the first answer, its targets the others, and
alongside the targets stands a mask of the same length, 0 where nothing is learnt, 1 and 2 in turn on the answers::

    inputs    <|im_start|>user⏎Hi<|im_end|>⏎<|im_start|>assistant⏎
    targets   Hello <|im_end|> ⏎ <|im_start|> user ⏎ Bye <|im_end|> ⏎ <|im_start|> assistant ⏎ See you <|im_end|> ⏎
    mask      1     1          0 0            0    0 0   0          0 0            0         0 2   2   2          0

An encoder-decoder reads everything up to the last answer and learns that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from xmtf.conversations.answers import PrefixError, Turns
from xmtf.conversations.messages import Conversation
from xmtf.errors import ConfigError
from xmtf.execution import warn
from xmtf.json_types import JsonObject
from xmtf.languages.codes import normalize_language
from xmtf.recipe.load import LoadedRecipe
from xmtf.recipe.sections.chat import read_template, uses_chat
from xmtf.records import MESSAGES, Family
from xmtf.tokens.rows.opening import row_capacity
from xmtf.tokens.tokenizer.chat import TOO_LONG, ChatFormat, ChatItem, chat_format, template_of
from xmtf.tokens.tokenizer.ends import begin_of_inputs
from xmtf.tokens.tokenizer.tokenizer import CHAT_KEY, Tokenizer

__all__ = [
    "ChatRules",
    "EncodedConversations",
    "encode_conversations",
    "plan_chat",
    "rules_of",
    "spec_of",
]


@dataclass(frozen=True, slots=True)
class ChatRules:
    """How the rows of a mixture become conversations in tokens; plain values, for the specs of shard tasks.

    Attributes:
        everything: Prompted examples too.
        turns: Which answers are learnt.
        arguments: Further variables of the template.
        system_prompts: Language -> system texts for conversations without one.
        seed: Draws among them.
        family: Of the model.
        capacity: Tokens of a row on each side.
        overlong: ``error`` refuses conversations that do not fit; else they are counted.
        begin: Ids before a conversation that does not begin with them.
        template: Fingerprint of the template.
    """

    everything: bool
    turns: Turns
    arguments: JsonObject
    system_prompts: dict[str, list[str]]
    seed: int
    family: Family
    capacity: tuple[int, ...]
    overlong: str
    begin: tuple[int, ...]
    template: str

    def takes(self, rows: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Return which rows become conversations, bool ``[n]``."""
        if self.everything:
            return np.ones(rows.num_rows, bool)
        if MESSAGES not in rows.schema.names:
            return np.zeros(rows.num_rows, bool)
        return np.asarray(rows[MESSAGES].is_valid().to_numpy(zero_copy_only=False), bool)


@dataclass(slots=True)
class EncodedConversations:
    """Items of some rows.

    Attributes:
        inputs: Tokens of each up to the first answer that is learnt.
        targets: The others.
        masks: uint8 of each, as long as its targets.
        kept: Rows that became items.
        dropped: Those that did not, by reason.
        shortened: Items that lost their oldest exchanges.
        special: Conversations that spell a special token, by its id.
    """

    inputs: list[npt.NDArray[np.int32]] = field(default_factory=list)
    targets: list[npt.NDArray[np.int32]] = field(default_factory=list)
    masks: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    shortened: int = 0
    special: Counter[int] = field(default_factory=Counter)


def plan_chat(
    loaded: LoadedRecipe, files: Sequence[Path], tokenizer: Tokenizer, family: Family
) -> tuple[ChatRules | None, Tokenizer]:
    """Decide whether conversations are written, and return the tokenizer with the template and what ends a turn.

    Args:
        loaded: The recipe.
        files: Parts of the mixture.
        tokenizer: Of the model.
        family: Of the model.

    Raises:
        ConfigError: The mixture holds conversations that nothing says how to write, or there is no template.
        TemplateError: The template does not parse.
    """
    tokens = loaded.recipe.tokens
    there = any(MESSAGES in pq.read_schema(path).names for path in files)
    source = read_template(loaded) or template_of(tokenizer)
    if there and tokens.chat == "auto" and not uses_chat(loaded.recipe):
        raise ConfigError(
            f"{loaded.path}: the mixture contains conversations of a catalogue; set tokens.chat to conversations or "
            f"all (rendered by the chat template), or to off (read as plain text)"
        )
    wanted = uses_chat(loaded.recipe) and (there or tokens.chat == "all")
    if wanted and source is None and family == "encoder-decoder" and tokens.chat != "all":
        warn("  conversations are read as plain text: the tokenizer has no chat template (tokens.chat_template)")
        wanted = False
    if not wanted:
        known = {} if template_of(tokenizer) is None else {CHAT_KEY: {"chat": False}}
        return None, tokenizer.described(known, ()) if known else tokenizer
    turns: Turns = "last" if family == "encoder-decoder" else tokens.chat_turns
    begin = () if tokens.begin_of_inputs == "auto" else begin_of_inputs(tokens, tokenizer)
    reading = tokenizer.reading(tokens.special_tokens)
    format_ = chat_format(reading, source=source, arguments=tokens.chat_arguments, turns=turns, begin=begin)
    end = format_.end_of_turn
    if end is None:
        warn(
            f"  {format_.template.label}: does not end turns with a special token; the trained model may not know "
            f"where to stop"
        )
    about = {"chat_template": source, CHAT_KEY: {"chat": True, "arguments": tokens.chat_arguments}}
    rules = ChatRules(
        everything=tokens.chat == "all",
        turns=turns,
        arguments=tokens.chat_arguments,
        system_prompts={
            normalize_language(code, "tokens.system_prompts"): list(texts)
            for code, texts in tokens.system_prompts.items()
        },
        seed=loaded.recipe.seed,
        family=family,
        capacity=row_capacity(tokens.packing, family),
        overlong=tokens.packing.overlong,
        begin=begin,
        template=format_.template.fingerprint,
    )
    return rules, tokenizer.described(about, () if end is None else (end,))


def rules_of(spec: JsonObject) -> ChatRules:
    """Return the rules that are in the spec of a shard task."""
    return ChatRules(**{**spec, "capacity": tuple(spec["capacity"]), "begin": tuple(spec["begin"])})


def spec_of(rules: ChatRules) -> JsonObject:
    """Return rules as they are in the spec of a shard task."""
    return asdict(rules)


def encode_conversations(
    tokenizer: Tokenizer, rules: ChatRules, rows: pa.RecordBatch, language: str
) -> EncodedConversations:
    """Return the items of rows that become conversations.

    Args:
        tokenizer: With its chat template.
        rules: How.
        rows: With inputs, targets, the columns that name a row, and messages where there are any.
        language: Of the rows.

    Raises:
        ConfigError: The template rewrites earlier turns, or a conversation does not fit and that is an error.
        TemplateError: The template asks for more than a row may cost, or for what is not there.
    """
    format_ = chat_format(tokenizer, arguments=rules.arguments, turns=rules.turns, begin=rules.begin)
    conversations = _conversations(rules, rows, language)
    found = EncodedConversations()
    for place, (conversation, item) in enumerate(
        zip(conversations, _encoded(format_, conversations, rows), strict=True)
    ):
        fitted = item if isinstance(item, str) else _fitted(format_, rules, conversation, item)
        if isinstance(fitted, str):
            if fitted == TOO_LONG and rules.overlong == "error":
                raise ConfigError(
                    f"{_named(rows, place)}: {fitted} of {' + '.join(map(str, rules.capacity))} tokens; raise "
                    "tokens.packing.sequence_length or set another tokens.packing.overlong"
                )
            found.dropped[fitted] += 1
            continue
        inputs, targets, mask = _sides(format_, rules, fitted)
        found.inputs.append(inputs)
        found.targets.append(targets)
        found.masks.append(mask)
        found.kept.append(place)
        found.shortened += fitted.shortened
        found.special.update(number for name in fitted.special if (number := tokenizer.find(name)) is not None)
    return found


def _conversations(rules: ChatRules, rows: pa.RecordBatch, language: str) -> list[Conversation]:
    inputs, targets = rows["inputs"].to_pylist(), rows["targets"].to_pylist()
    held = rows[MESSAGES].to_pylist() if MESSAGES in rows.schema.names else [None] * rows.num_rows
    prompts, found = rules.system_prompts.get(language, []), list[Conversation]()
    for question, answer, text in zip(inputs, targets, held, strict=True):
        conversation = Conversation.of_json(text) if text else Conversation.asked(question or "", answer or "")
        if prompts:
            drawn = xxhash.xxh3_64_intdigest(f"{rules.seed}\x1f{question}\x1f{answer}".encode())
            conversation = conversation.with_system(prompts[drawn % len(prompts)])
        found.append(conversation)
    return found


def _encoded(format_: ChatFormat, conversations: Sequence[Conversation], rows: pa.RecordBatch) -> list[ChatItem | str]:
    try:
        return format_.encode(conversations)
    except PrefixError:
        pass
    for place, conversation in enumerate(conversations):  # find which it was
        try:
            format_.encode([conversation])
        except PrefixError as error:
            advice = (
                "set tokens.chat_turns: last to train on the last turn only, or give a template that keeps them "
                "(tokens.chat_template)"
                if format_.turns == "all"
                else "give a template that keeps it (tokens.chat_template)"
            )
            raise ConfigError(
                f"{format_.template.label}: rewrites the text before turn {error.turn} of {_named(rows, place)} when "
                f"more turns follow (it drops reasoning, or merges turns), so that answer would be trained after a "
                f"text that the model never sees; {advice}"
            ) from None
    raise AssertionError("one of them has no prefix")


def _fitted(format_: ChatFormat, rules: ChatRules, conversation: Conversation, item: ChatItem) -> ChatItem | str:
    def fits(each: ChatItem) -> bool:
        inputs, targets, _ = _sides(format_, rules, each)
        sizes = (len(inputs) + len(targets),) if len(rules.capacity) == 1 else (len(inputs), len(targets))
        return all(size <= room for size, room in zip(sizes, rules.capacity, strict=True))

    return format_.fit(conversation, item, fits)


def _sides(
    format_: ChatFormat, rules: ChatRules, item: ChatItem
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Return inputs, targets and the mask of the targets."""
    first = item.first
    inputs, targets, mask = item.ids[:first], item.ids[first:], item.turns[first:]
    if rules.family == "encoder-decoder":
        targets = targets[mask > 0]
        tokenizer = format_.tokenizer
        if not len(targets) or tokenizer.token(int(targets[-1])) not in format_.special:
            targets = np.append(targets, np.int32(tokenizer.eos))
        mask = np.ones(len(targets), np.uint8)
    return inputs, targets, mask


def _named(rows: pa.RecordBatch, place: int) -> str:
    dataset, split, row = (rows[name][place].as_py() for name in ("dataset", "split", "row"))
    return f"{dataset} [{split}] row {row}"
