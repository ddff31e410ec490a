"""Conversations in three languages, prompted examples and calls of tools: built, trained, exported, read by others."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from tests.unit.conversations.conftest import chat

from xmtf.artefacts.manifest_parts import TokenCounts
from xmtf.errors import ConfigError
from xmtf.files import read_json, read_jsonl, read_manifest
from xmtf.mixture.io.export import export_jsonl
from xmtf.mixture.io.read import read_mixture
from xmtf.models import load_model
from xmtf.recipe import load_recipe
from xmtf.records import MESSAGES
from xmtf.runs.pipeline import run_recipe
from xmtf.tokens import load_tokenizer, open_loader, peek_row
from xmtf.training.loss.head import Head
from xmtf.training.loss.objective import Objective
from xmtf.training.loss.targets import loss_scales, select_targets
from xmtf.training.preview import dry_run

transformers = pytest.importorskip("transformers")

CALL = {"type": "function", "function": {"name": "look", "arguments": '{"city": "Köln", "n": 1}'}}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
WITH_TOOLS = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>{{ '\n' }}{% endif %}"
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ m.content }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }} "
    "{{ c.function.arguments | tojson }}</call>{% endfor %}<|im_end|>{% endgeneration %}{{ '\n' }}"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATES = """
dataset: asked
templates:
  one: !Template
    answer_choices: null
    id: one
    jinja: 'Say {{ a }} again. ||| {{ b }}'
    metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [Other], original_task: true}
    name: say
    reference: ''
"""
SYSTEM = ["Sois bref.", ""]


def jsonl(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def calling(number):
    turns = [
        {"role": "user", "content": f"What of {number}?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": str(number) if number % 2 else json.dumps({"n": number})},
        {"role": "assistant", "content": f"It is {number}."},
    ]
    return {"messages": turns, "tools": TOOLS}


@pytest.fixture(scope="module")
def run(tmp_path_factory, folder):
    """A finished run: a tiny BLOOM trained for two steps on everything that conversations are read from."""
    place = tmp_path_factory.mktemp("chat-run")
    shutil.copytree(folder, place / "base")
    torch.manual_seed(0)
    config = transformers.BloomConfig(
        vocab_size=400, hidden_size=32, n_layer=2, n_head=4, pad_token_id=0, bos_token_id=1, eos_token_id=2
    )
    transformers.BloomForCausalLM(config).save_pretrained(place / "base")
    jsonl(place / "en.jsonl", [calling(number) for number in range(6)])
    long = [f"turn {number} of the city" for number in range(30)]
    jsonl(place / "long.jsonl", [{"messages": chat(*long, system="Be brief.")}, {"messages": []}, {"messages": None}])
    turns = [("human", "gpt")[number % 2] for number in range(4)]
    jsonl(
        place / "de.jsonl",
        [
            {"conversations": [{"from": who, "value": f"{who} {row} {at}"} for at, who in enumerate(turns)]}
            for row in range(6)
        ],
    )
    jsonl(place / "fr.jsonl", [{"inputs": f"Quoi {row} ?", "targets": f"Ceci {row}."} for row in range(8)])
    jsonl(place / "asked.jsonl", [{"a": f"a{row}", "b": f"b{row}"} for row in range(4)])
    (place / "asked.yaml").write_text(TEMPLATES)
    (place / "chat.jinja").write_text(WITH_TOOLS)
    own = [
        {"id": f"own/{name}", "path": f"{name}.jsonl", "kind": "conversation"} for name in ("en", "long", "de", "fr")
    ]
    for task, language in zip(own, ("en", "en", "de", "fr"), strict=True):
        task["language"] = language
    own.append({"id": "asked", "path": "asked.jsonl", "templates": "asked.yaml", "language": "en"})
    recipe = {
        "name": "chat",
        "run_folder": str(place / "run"),
        "execution": {"engine": "inline"},
        "own_tasks": own,
        "mixture": {"tasks": [{"tasks": ["own/*", "asked"]}], "validation_fraction": 0.0, "failing_rows": 1.0},
        "tokens": {
            "chat": "all",
            "chat_template": "chat.jinja",
            "system_prompts": {"fra": SYSTEM},
            "packing": {"sequence_length": 256},
        },
        "model": {"base": str(place / "base")},
        "training": {"steps": 2, "global_batch_rows": 2, "micro_batch_rows": 2, "threads": 1},
    }
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run_recipe(load_recipe(place / "recipe.yaml"))
    return place


@pytest.fixture(scope="module")
def theirs(run):
    return transformers.AutoTokenizer.from_pretrained(run / "run" / "model")


@pytest.fixture(scope="module")
def loaded(run):
    return load_recipe(run / "recipe.yaml")


def items(run, loaded):
    """Yield (language, ids, mask) of every item of the token files."""
    loader = open_loader(run / "run" / "tokens", loaded, family="causal")
    for language in loader.languages:
        for item in range(len(language.pair.targets)):
            inputs, targets, mask = (
                store[item] for store in (language.pair.inputs, language.pair.targets, language.pair.masks)
            )
            ids = [*inputs.tolist(), *targets.tolist()]
            yield language.language, ids, [0] * len(inputs) + (mask > 0).astype(int).tolist()


def test_ids_and_masks_are_those_of_transformers_on_the_exported_messages(run, theirs, loaded, tmp_path):
    export_jsonl(run / "run" / "mixture", tmp_path / "messages", fields="messages", filters={})
    rows = [row for path in (tmp_path / "messages").rglob("*.jsonl") for row in read_jsonl(path)]
    assert len(rows) == 6 + 1 + 6 + 8 + 4
    wanted = set()
    for row in rows:
        for system in ("", *SYSTEM):
            turns = [{"role": "system", "content": system}] if system else []
            found = theirs.apply_chat_template(
                [*turns, *row["messages"]],
                tools=row.get("tools"),
                return_dict=True,
                return_assistant_tokens_mask=True,
            )
            wanted.add((tuple(found["input_ids"]), tuple(found["assistant_masks"])))
    there = list(items(run, loaded))
    assert len(there) == len(rows)
    others = [each for each in there if (tuple(each[1]), tuple(each[2])) not in wanted]
    assert len(others) == 1, "the long one alone, which lost its oldest exchanges"
    text = theirs.decode(others[0][1])
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nturn ")
    assert text.endswith("turn 29 of the city<|im_end|>\n")
    assert "turn 0 of" not in text
    french = [theirs.decode(ids) for language, ids, _ in there if language == "fr"]
    assert {text.startswith("<|im_start|>system\nSois bref.") for text in french} == {True, False}


def test_what_is_no_conversation_is_counted_and_so_is_what_was_shortened(run):
    dropped = read_manifest(run / "run" / "mixture").counts["dropped"]
    assert dropped["no messages"] == 2
    counts = TokenCounts.of(read_manifest(run / "run" / "tokens"), run)
    assert (counts.out, counts.conversations, counts.shortened) == (25, 25, 1)
    (held,) = {table.schema.field(MESSAGES).type for table in read_mixture(run / "run" / "mixture", columns=[MESSAGES])}
    assert str(held).endswith("string")


def test_the_loss_of_a_row_is_the_mean_over_its_answers(run, loaded, theirs):
    loader = open_loader(run / "run" / "tokens", loaded, family="causal")
    rows = [loader.rows(row, row + 1) for row in range(6)]
    batch = max(rows, key=lambda each: int(each.segment_ids.max()))
    assert batch.segment_ids.max() > 1
    targets = select_targets(batch, "target")
    model = load_model(str(run / "run" / "model"), dtype=torch.float32).model.eval()
    objective = Objective(model, Head(model), len(loader.group_names), torch.device("cpu"))
    (scale,) = loss_scales([targets], "target")
    found = float(objective(batch, targets, scale, backward=False).loss)
    other = transformers.AutoModelForCausalLM.from_pretrained(run / "run" / "model", dtype=torch.float32).eval()
    means = []
    for segment in range(1, int(batch.segment_ids.max()) + 1):
        here = batch.segment_ids[0] == segment
        ids, turns = torch.tensor(batch.tokens[0][here])[None], batch.turns[0][here]
        with torch.no_grad():
            nll = -torch.log_softmax(other(ids).logits[0, :-1].double(), -1).gather(1, ids[0, 1:, None])[:, 0].numpy()
        edges = np.flatnonzero(np.diff(turns.astype(int), prepend=0, append=0))
        means += [nll[a - 1 : b - 1].mean() for a, b in pairwise(edges) if turns[a]]
    assert targets.num_targets == len(means)
    assert found == pytest.approx(np.mean(means), rel=1e-6)


def test_packed_conversations_do_not_see_each_other(run, loaded):
    loader = open_loader(run / "run" / "tokens", loaded, family="causal")
    batch = next(each for each in (loader.rows(row, row + 1) for row in range(6)) if each.segment_ids.max() > 1)
    model = load_model(str(run / "run" / "model"), dtype=torch.float32).model.eval()
    segments = torch.tensor(batch.segment_ids[:, :-1])
    changed = batch.tokens[:, :-1].copy()
    changed[batch.segment_ids[:, :-1] == 1] = 5
    with torch.no_grad():
        one, two = (
            model.hidden_states(torch.tensor(tokens), segment_ids_RT=segments)[segments == 2]
            for tokens in (batch.tokens[:, :-1], changed)
        )
    assert torch.equal(one, two)


def test_the_export_keeps_the_template_its_stop_and_how_it_was_trained(run, theirs):
    model = run / "run" / "model"
    assert theirs.chat_template == WITH_TOOLS
    end = theirs.convert_tokens_to_ids("<|im_end|>")
    assert end in read_json(model / "generation_config.json")["eos_token_id"]
    ours = load_tokenizer(str(model))
    assert end in ours.ends
    assert ours.about["xmtf_chat"] == {"chat": True, "arguments": {}}


def test_the_dry_run_and_peek_show_the_mask(run, loaded):
    loader = open_loader(run / "run" / "tokens", loaded, family="causal")
    shown = peek_row(loader, 0)
    assert "<|im_end|>" in shown
    assert "loss" in shown
    text = dry_run(loaded, tokens=run / "run" / "tokens")
    assert "learnt   '" in text
    assert "mask     [0, 0" in text


def test_recipes_without_conversations_are_as_they_were(run, loaded):
    plain = loaded.recipe.tokens.model_dump()
    kept = {name for name in type(loaded.recipe.tokens)().model_dump() if "chat" in name or "system" in name}
    assert kept == set()
    assert plain["chat"] == "all"


def test_prefix_lm_and_answers_in_the_middle_do_not_go_together(run):
    with pytest.raises(ConfigError, match=r"set tokens\.chat_turns: last"):
        load_recipe(run / "recipe.yaml", ["training.prefix_lm=true"])


def test_the_harness_gets_the_text_of_transformers(run, theirs):
    pytest.importorskip("lm_eval")
    from xmtf.evaluation.harness.model import HarnessModel

    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}]
    model = HarnessModel(pretrained=str(run / "run" / "model"), device="cpu")
    wanted = theirs.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert model.apply_chat_template(turns) == wanted
    assert model.chat_template(True) == WITH_TOOLS
    assert model.chat_template(False) is None


def test_a_model_trained_in_chat_is_asked_in_it_and_plain_results_are_others(run, loaded, tmp_path):
    from xmtf.evaluation.asking.subject import load_subject
    from xmtf.evaluation.suites.setup import Setup
    from xmtf.recipe.schema import Evaluation
    from xmtf.tasks import load_catalogue

    model, catalogue = str(run / "run" / "model"), load_catalogue(loaded)
    auto, off = (load_subject(Setup(Evaluation(chat=chat), catalogue), model, "m") for chat in ("auto", "off"))
    assert (auto.label, off.label) == ("m (chat)", "m")
    assert auto.fingerprint != off.fingerprint
    assert auto.rules.chat.template == WITH_TOOLS
    assert off.rules.chat is None
    assert "chat" not in off.rules.to_json()
    assert not auto.rules.space_before_targets


def test_conversations_of_a_catalogue_need_the_key(run, tmp_path):
    entry = {"id": "cat/chat", "cluster": "chat", "dataset": "my/chat", "language": "de", "kind": "conversation"}
    entry |= {"splits": {"train": ["train"]}, "paths": {"train": str(run / "de.jsonl")}}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({"tasks": [entry]}))
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe |= {"own_tasks": [], "catalogues": ["more.yaml"], "run_folder": str(tmp_path / "run")}
    recipe["mixture"]["tasks"] = [{"tasks": ["cat/chat"]}]
    recipe["tokens"] = {"chat_template": str(run / "chat.jinja")}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(ConfigError, match=r"set tokens\.chat to conversations or all"):
        run_recipe(load_recipe(tmp_path / "recipe.yaml"), until="tokens")
    run_recipe(load_recipe(tmp_path / "recipe.yaml", ["tokens.chat=conversations"]), until="tokens", replace=True)
    assert TokenCounts.of(read_manifest(tmp_path / "run" / "tokens"), run).conversations == 6
