"""Every family that people finetune, at toy size: trained packed, exported, asked, and equal to plain transformers."""

import pytest
import torch
import transformers

from xmtf.errors import ConfigError
from xmtf.evaluation.asking.subject import load_subject
from xmtf.evaluation.engine.encoding import prompt_rules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.ranking.rank import score_choices
from xmtf.evaluation.scoring.score import where_computed
from xmtf.evaluation.suites.setup import Setup
from xmtf.files import file_sha256, read_jsonl
from xmtf.models import load_model
from xmtf.models.hub.kinds import check_kind
from xmtf.recipe import load_recipe
from xmtf.recipe.schema import Evaluation, Tokenization
from xmtf.records import Origin, Request
from xmtf.tasks import Catalogue
from xmtf.tokens import load_tokenizer
from xmtf.training import dry_run, train_in_folder

SPECIAL = {"vocab_size": 300, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
OF_PAIR = {"vocab_size": 300, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
BODY = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
DECODER = BODY | {"num_key_value_heads": 2}
WINDOW = DECODER | {"head_dim": 4, "sliding_window": 5}
T5 = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 3, "decoder_start_token_id": 0}
BART = {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in
        {"layers": 2, "attention_heads": 2, "ffn_dim": 24}.items()}  # fmt: skip
PADDED = {"mbart", "m2m_100"}
"""Families that count positions themselves: one example a row."""
CAUSAL = {
    "qwen2": lambda: transformers.Qwen2Config(**DECODER, **SPECIAL),
    "qwen3": lambda: transformers.Qwen3Config(**DECODER, **SPECIAL, head_dim=4),
    "gemma2": lambda: transformers.Gemma2Config(**WINDOW, **SPECIAL),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        **WINDOW, **SPECIAL, layer_types=["sliding_attention", "full_attention"]
    ),
    "gemma3 with eyes": lambda: transformers.Gemma3Config(
        text_config=WINDOW | SPECIAL | {"layer_types": ["sliding_attention", "full_attention"]},
        vision_config=BODY | {"image_size": 16, "patch_size": 8, "num_hidden_layers": 1},
        mm_tokens_per_image=1,
        image_token_id=299,
    ),
    "cohere": lambda: transformers.CohereConfig(**DECODER, **SPECIAL, logit_scale=0.25),
    "cohere2": lambda: transformers.Cohere2Config(
        **DECODER, **SPECIAL, sliding_window=5, layer_types=["sliding_attention", "full_attention"]
    ),
    "llama": lambda: transformers.LlamaConfig(**DECODER, **SPECIAL),
    "smollm3": lambda: transformers.SmolLM3Config(**DECODER, **SPECIAL),
    "apertus": lambda: transformers.ApertusConfig(**DECODER, **SPECIAL),
}
PAIRS = {
    "t5": lambda: transformers.T5Config(**T5, **OF_PAIR),
    "umt5": lambda: transformers.UMT5Config(**T5, **OF_PAIR),
    "t5gemma": lambda: transformers.T5GemmaConfig(encoder=WINDOW | OF_PAIR, decoder=WINDOW | OF_PAIR, **OF_PAIR),
    "mbart": lambda: transformers.MBartConfig(
        **BART, **OF_PAIR, d_model=16, max_position_embeddings=48, decoder_start_token_id=1, forced_eos_token_id=None
    ),
    "m2m_100": lambda: transformers.M2M100Config(
        **BART, **OF_PAIR, d_model=16, max_position_embeddings=48, decoder_start_token_id=1, forced_eos_token_id=None
    ),
}
RECIPE = """
name: family
run_folder: {folder}/run
mixture: {{tasks: [{{}}], validation_fraction: 0.1}}
tokens: {{tokenizer: {{train_vocab_size: 300}}, packing: {{sequence_length: 48, target_length: 24}}}}
model: {{base: {base}}}
training:
  steps: 2
  global_batch_rows: 4
  micro_batch_rows: 4
  optimizer: {{learning_rate: 0.003}}
  validate_every: 2
  log_every: 1
  validation_rows: 2
  threads: 1
  device: cpu
execution: {{engine: inline}}
"""
SHAPE = {"causal": "bloom", "encoder-decoder": "mt5"}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, make_tokens):
    folders = {}
    for family, architecture in SHAPE.items():
        folder = folders[family] = tmp_path_factory.mktemp(family)
        (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder, base="null"))
        shape = f"{{architecture: {architecture}, hidden_size: 16, num_layers: 1, num_heads: 2}}"
        make_tokens(folder, load_recipe(folder / "recipe.yaml", [f"model={shape}"]), family)
    return {family: folder / "tokens" for family, folder in folders.items()}


def written(folder, config):
    torch.manual_seed(3)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = kind.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.2)
    model.save_pretrained(folder / "base")
    (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder, base=folder / "base"))
    return load_recipe(folder / "recipe.yaml")


ASKED = [
    Request(prompt, ("city 3", "no", "city 12"), 0, (), Origin("own", "", "test", 0))
    for prompt in ("Capital of number 3?", "Number?")
]


@torch.inference_mode()
def their_scores(model, pair, prompt, choice):
    """Return the log-probability of a choice, whole rows through plain transformers."""
    if pair:
        logits = model(input_ids=torch.tensor([prompt]), labels=torch.tensor([choice])).logits[0]
    else:
        logits = model(input_ids=torch.tensor([[*prompt, *choice]])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits.float(), -1)[range(len(choice)), choice].sum().item()


@torch.inference_mode()
def their_answer(model, pair, prompt):
    ids = torch.tensor([prompt])
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)
    new = made[0].tolist()[1 if pair else len(prompt) :]
    end = model.config.get_text_config(decoder=True).eos_token_id
    return new[: new.index(end)] if end in new else new


SLOW = ("qwen2", "gemma3 with eyes", "cohere", "smollm3", "cohere2", "apertus", "t5", "m2m_100")
"""Near relatives of the others: `make test-slow` takes them."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in (*CAUSAL, *PAIRS)]
)
def test_a_family_is_trained_exported_and_asked_as_transformers_does(kind, tokens, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    pair = kind in PAIRS
    family = "encoder-decoder" if pair else "causal"
    loaded = written(tmp_path, (PAIRS | CAUSAL)[kind]())
    assert family in dry_run(loaded, tokens=tokens[family])
    train_in_folder(loaded, tokens=tokens[family])
    said = " ".join(capsys.readouterr().err.split())
    assert ("it trains with one example per row" in said) == (kind in PADDED)
    (step,) = (event for event in read_jsonl(loaded.run.log) if event["event"] == "train" and event["step"] == 2)
    assert (step["fill"] > 0.5) == (kind not in PADDED)
    model = loaded.run.model
    assert file_sha256(model / "model.safetensors") != file_sha256(tmp_path / "base" / "model.safetensors")

    ours, tokenizer = load_model(str(model)).model, load_tokenizer(str(model))
    auto = transformers.AutoModelForSeq2SeqLM if pair else transformers.AutoModelForCausalLM
    theirs = auto.from_pretrained(model).eval()
    rules = prompt_rules(ours, tokenizer, Tokenization())
    answers = score_choices(ours, tokenizer, ASKED, rules=rules)
    texts = generate(ours, tokenizer, ASKED, decoding=Decoding(5), rules=rules)
    for request, answer, text in zip(ASKED, answers, texts, strict=True):
        prompt = tokenizer.encode([request.prompt])[0].tolist()
        for choice, score in zip(request.choices, answer.scores, strict=True):
            ids = tokenizer.encode([choice if pair else f" {choice}"])[0].tolist()
            expected = their_scores(theirs, pair, prompt, [*ids, tokenizer.eos] if pair else ids)
            assert score == pytest.approx(expected, abs=1e-4)
        assert text.text == tokenizer.decode(their_answer(theirs, pair, prompt)).strip()


def test_quantised_weights_are_asked_under_another_name(tokens, tmp_path, capsys, monkeypatch):
    pytest.importorskip("bitsandbytes", reason="the package bitsandbytes is not installed")
    harness = pytest.importorskip("xmtf.evaluation.harness.model", reason="lm-evaluation-harness is not installed")
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    written(tmp_path, CAUSAL["llama"]())
    model = tmp_path / "base"
    load_tokenizer(str(tokens["causal"] / "tokenizer")).save(model)
    subjects = {}
    for kind in (None, "nf4", "int8"):
        setup = Setup(Evaluation(quantize=kind), Catalogue({}), Tokenization(), device="cpu")
        subjects[kind] = load_subject(setup, str(model), "llama")
    assert "14 matrices in nf4" in " ".join(capsys.readouterr().err.split())
    assert len({subject.fingerprint for subject in subjects.values()}) == 3
    scores = {
        kind: [answer.scores for answer in score_choices(subject.model, subject.tokenizer, ASKED)]
        for kind, subject in subjects.items()
    }
    for kind in ("nf4", "int8"):
        assert where_computed(subjects[kind].model, "fp32", subjects[kind].quantize)["quantize"] == kind
        assert scores[kind] != scores[None]
        for ours, whole in zip(scores[kind], scores[None], strict=True):
            assert ours == pytest.approx(whole, abs=2.0)
    asked = {kind: harness.HarnessModel(str(model), device="cpu", quantize=kind) for kind in (None, "nf4")}
    info = {kind: each.get_model_info() for kind, each in asked.items()}
    assert info["nf4"]["model_num_parameters"] == info[None]["model_num_parameters"]
    assert info["nf4"]["model_sha"] != info[None]["model_sha"]
    with pytest.raises(ConfigError, match="quantize=int3: known: nf4, int8"):
        harness.HarnessModel(str(model), quantize="int3")


REFUSED = {
    "qwen2_vl": ("causal", lambda: transformers.Qwen2VLConfig(text_config=DECODER), "reads images or sound"),
    "whisper": ("encoder-decoder", lambda: transformers.WhisperConfig(), "generates no text"),
    "t5gemma2": ("encoder-decoder", lambda: transformers.T5Gemma2Config(), "reads images or sound"),
    "bert": ("causal", lambda: transformers.BertConfig(), "a masked-language-model encoder"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_language_model_is_refused_by_name_before_weights_are_read(kind, tmp_path):
    family, config, reason = REFUSED[kind]
    config().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=rf"is a {kind}, .*{reason}.*use"):
        check_kind(tmp_path, family)
