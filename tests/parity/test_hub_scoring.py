"""Choices scored by models of transformers (as trees, from a cache, as whole rows) against transformers, row by row."""

import re

import pytest
import torch
from typer.testing import CliRunner

transformers = pytest.importorskip("transformers")

from xmtf.cli.app import build_app  # noqa: E402
from xmtf.errors import ConfigError  # noqa: E402
from xmtf.evaluation.generation.decode_loop import decode  # noqa: E402
from xmtf.evaluation.generation.decoding import WritingRules  # noqa: E402
from xmtf.evaluation.ranking import rank as scoring  # noqa: E402
from xmtf.models.hub.head import find_head  # noqa: E402
from xmtf.models.hub.model import HubModel  # noqa: E402

SMALL = {"vocab_size": 97, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "pad_token_id": 0}
GROUPED = SMALL | {"num_attention_heads": 6, "num_key_value_heads": 3}
LEARNED = {"vocab_size": 97, "bos_token_id": 1, "eos_token_id": 2}
TREES = {
    "llama": lambda: transformers.LlamaConfig(**GROUPED),
    "qwen2": lambda: transformers.Qwen2Config(**GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**GROUPED, head_dim=8),
    "mistral": lambda: transformers.MistralConfig(**GROUPED, sliding_window=5),
    "gemma2": lambda: transformers.Gemma2Config(**GROUPED, head_dim=8, sliding_window=4),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        **GROUPED, head_dim=8, sliding_window=4, layer_types=["sliding_attention", "full_attention"]
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SMALL, num_attention_heads=3),
    "gpt2": lambda: transformers.GPT2Config(**LEARNED, n_embd=24, n_layer=2, n_head=3, n_positions=32),
    "opt": lambda: transformers.OPTConfig(
        **LEARNED, hidden_size=24, word_embed_proj_dim=24, ffn_dim=40, num_hidden_layers=2, num_attention_heads=3,
        max_position_embeddings=32,
    ),
}  # fmt: skip
CACHES = {
    "bloom": lambda: transformers.BloomConfig(**LEARNED, hidden_size=24, n_layer=2, n_head=3),
    "mpt": lambda: transformers.MptConfig(vocab_size=97, d_model=24, n_layers=2, n_heads=3),
    "gpt_neo": lambda: transformers.GPTNeoConfig(
        **LEARNED, hidden_size=24, num_layers=2, num_heads=3, window_size=4, attention_types=[[["global", "local"], 1]]
    ),
}
ROWS = {
    "mamba2": lambda: transformers.Mamba2Config(
        vocab_size=97, hidden_size=24, num_hidden_layers=2, state_size=4, num_heads=6, head_dim=8, n_groups=1
    ),
    "lfm2": lambda: transformers.Lfm2Config(**GROUPED, layer_types=["conv", "full_attention"]),
    "recurrent_gemma": lambda: transformers.RecurrentGemmaConfig(
        **SMALL | {"num_hidden_layers": 3}, num_attention_heads=3, lru_width=24, attention_window_size=4
    ),
}
BEGINNING = (5, 6, 7, 8, 9, 10, 11, 12, 13)
PROMPTS = [(*BEGINNING, 20, 21), (*BEGINNING, 20, 22, 23, 24), BEGINNING, (30,), (*BEGINNING, 20, 21)]
CHOICES = [
    ((1, 2), (1, 3, 4), (2,), (40, 41, 42, 43, 44)),
    ((1, 2), (9,)),
    ((50,), (51, 52)),
    ((3,),),
    ((7, 7), (1, 2)),
]


def hub_model(config):
    torch.manual_seed(2)
    network = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
    return HubModel(network, find_head(network, "tiny"), "tiny")


def scored(model, batch_tokens=8192):
    found = scoring.score_batches(model, PROMPTS, CHOICES, range(len(PROMPTS)), pad=0, batch_tokens=batch_tokens)
    return dict(entry for batch in found for entry in batch)


@torch.inference_mode()
def assert_scores_of_rows(found, network):
    for index, (prompt, choices) in enumerate(zip(PROMPTS, CHOICES, strict=True)):
        for choice, told in zip(choices, found[index], strict=True):
            logits = network(input_ids=torch.tensor([prompt + choice]), use_cache=False).logits[0, len(prompt) - 1 : -1]
            expected = torch.log_softmax(logits, -1)[range(len(choice)), choice].sum().item()
            assert told.score == pytest.approx(expected, abs=3e-5)
            assert told.greedy == (logits.argmax(-1).tolist() == list(choice))


@pytest.mark.parametrize("kind", TREES)
def test_trees_score_as_rows_and_as_the_cache(kind, monkeypatch):
    model = hub_model(TREES[kind]())
    assert scoring.way_of_scoring(model) == "token trees"
    found = scored(model)
    assert_scores_of_rows(found, model.network)
    many_batches = scored(model, batch_tokens=8)
    monkeypatch.setattr(scoring, "tree_fault", lambda model: "not asked")
    cached = scored(model)
    for index, scores in found.items():
        for score, *others in zip(scores, many_batches[index], cached[index], strict=True):
            assert [other.score for other in others] == pytest.approx([score.score] * 2, abs=2e-5)


@pytest.mark.parametrize("kind", CACHES)
def test_models_whose_trees_would_be_wrong_use_the_cache(kind):
    model = hub_model(CACHES[kind]())
    assert scoring.way_of_scoring(model).startswith("a cache of each prompt: ")
    assert type(model.network).__name__ in model.tree_fault
    assert_scores_of_rows(scored(model), model.network)


def test_a_beginning_that_prompts_share_is_read_once(monkeypatch):
    model = hub_model(TREES["llama"]())
    assert model.tree_fault is None
    read = []
    forward = model.network.base_model.forward
    monkeypatch.setattr(
        model.network.base_model, "forward", lambda **given: read.append(given["input_ids"]) or forward(**given)
    )
    scored(model)
    (tokens,) = read
    assert [row[row != 0].tolist() for row in tokens] == [
        [30],
        [*BEGINNING, 51, 20, 21, 1, 3, 40, 41, 42, 43, 7, 22, 23, 24, 1],
    ]


def test_a_prompt_too_long_for_a_tree_is_read_into_a_cache(monkeypatch):
    model = hub_model(TREES["mistral"]())
    trees = scored(model)
    monkeypatch.setattr(scoring, "_LARGEST_TREE", len(BEGINNING) + 2)
    monkeypatch.setattr(scoring, "score_cached", lambda *given, real=scoring.score_cached, **by_name: (
        used.append(1) or real(*given, **by_name)
    ))  # fmt: skip
    used = []
    some_cached = scored(model)
    assert used
    assert list(some_cached) != list(trees)
    assert_scores_of_rows(some_cached, model.network)


def test_a_model_that_ignores_positions_is_found_out(monkeypatch):
    model = hub_model(TREES["llama"]())
    forward = model.network.base_model.forward
    monkeypatch.setattr(model.network.base_model, "forward", lambda position_ids=None, **given: forward(**given))
    assert "LlamaForCausalLM with a token tree deviates by" in scoring.way_of_scoring(model)
    assert_scores_of_rows(scored(model), model.network)


@pytest.mark.parametrize("kind", ROWS)
def test_models_with_a_state_are_read_in_whole_rows(kind):
    model = hub_model(ROWS[kind]())
    assert scoring.way_of_scoring(model).startswith("whole rows: ")
    assert model.tree_fault is not None
    assert_scores_of_rows(scored(model), model.network)
    written = decode(model, PROMPTS, range(len(PROMPTS)), WritingRules((96,), pad=0, num_ids=97, max_new_tokens=4))
    for prompt, answer in zip(PROMPTS, written, strict=True):
        row = [*prompt, *answer.ids]
        with torch.inference_mode():
            best = model.network(input_ids=torch.tensor([row]), use_cache=False).logits[0].argmax(-1).tolist()
        assert list(answer.ids) == best[len(prompt) - 1 : len(row) - 1]
    with pytest.raises(ConfigError, match=r"does not support a prefix-LM mask; set training\.prefix_lm: false"):
        list(scoring.score_batches(model, PROMPTS, CHOICES, range(len(PROMPTS)), pad=0, prefix_lm=True))


def test_what_is_wrong_is_found_out_in_half_precision_too(monkeypatch):
    right, wrong = (hub_model(TREES["gpt2"]()).to(torch.bfloat16) for _ in range(2))
    assert (right.tree_fault, right.cache_fault) == (None, None)
    forward = wrong.network.base_model.forward
    monkeypatch.setattr(wrong.network.base_model, "forward", lambda position_ids=None, **given: forward(**given))
    assert "with a token tree deviates by" in wrong.tree_fault
    assert "with its cache deviates by" in wrong.cache_fault


def test_doctor_tells_how_a_model_is_read(tmp_path):
    config = transformers.MambaConfig(vocab_size=97, hidden_size=24, num_hidden_layers=2, state_size=4)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    result = CliRunner().invoke(build_app("doctor"), ["doctor", "--model", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert re.search(r"packing +refused: model .* cannot keep packed examples apart", result.output)
    assert re.search(r"ranking +whole rows: MambaForCausalLM does not take its cache", result.output)


def test_trying_leaves_dropout_off():
    model = hub_model(TREES["gpt2"]())
    assert any(isinstance(module, torch.nn.Dropout) and module.p for module in model.modules())
    assert model.tree_fault is None
    assert not any(module.training for module in model.modules())


def test_prefix_lm_trees_see_their_prompts_in_both_directions():
    model = hub_model(TREES["gemma3"]())
    found = dict(
        entry
        for batch in scoring.score_batches(model, PROMPTS, CHOICES, range(len(PROMPTS)), pad=0, prefix_lm=True)
        for entry in batch
    )
    for index, (prompt, choices) in enumerate(zip(PROMPTS, CHOICES, strict=True)):
        for choice, told in zip(choices, found[index], strict=True):
            row = torch.tensor([prompt + choice])
            is_input = torch.arange(row.shape[1])[None] < len(prompt)
            with torch.inference_mode():
                logits = model.logits(model.hidden_states(row, is_input_RT=is_input)[0, len(prompt) - 1 : -1])
            expected = torch.log_softmax(logits, -1)[range(len(choice)), choice].sum().item()
            assert told.score == pytest.approx(expected, abs=3e-5)
