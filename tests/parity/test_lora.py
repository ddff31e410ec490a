"""Adapters against PEFT's: its folders load here and ours there, with equal logits."""

import json

import pytest
import torch

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft", reason="peft is not installed")

from xmtf.errors import ConfigError, DataError, UnknownNameError  # noqa: E402
from xmtf.models import check_packing, load_model, save_model  # noqa: E402
from xmtf.models.lora import adapters, add_adapters, merge_adapters  # noqa: E402
from xmtf.recipe.schema import Lora, Recipe  # noqa: E402
from xmtf.training.numerics.precision import prepare  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

BLOOM = transformers.BloomConfig(vocab_size=131, hidden_size=60, n_layer=2, n_head=5)
MT5 = transformers.MT5Config(
    vocab_size=97, d_model=40, d_kv=8, d_ff=48, num_layers=2, num_heads=3, dropout_rate=0.0, tie_word_embeddings=False
)
LLAMA = transformers.LlamaConfig(
    vocab_size=113, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3,
    num_key_value_heads=1,
)  # fmt: skip
KINDS = {
    "bloom": (transformers.BloomForCausalLM, BLOOM, ("query_key_value", "dense_4h_to_h")),
    "mt5": (transformers.MT5ForConditionalGeneration, MT5, ("q", "v", "wi_0")),
    "llama": (transformers.LlamaForCausalLM, LLAMA, ("q_proj", "down_proj")),
}
TOKENS = torch.tensor([[5, 9, 5, 7, 20, 31], [8, 8, 3, 4, 5, 60]])


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def base(kind, tmp_path):
    cls, config, _ = KINDS[kind]
    torch.manual_seed(1)
    model = cls(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.15)
    model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def theirs(kind, folder):
    return KINDS[kind][0].from_pretrained(folder).eval()


@torch.no_grad()
def their_logits(model, kind):
    if kind == "mt5":
        return model(input_ids=TOKENS, decoder_input_ids=TOKENS[:, :4]).logits
    return model(input_ids=TOKENS).logits


@torch.no_grad()
def our_logits(model):
    model.eval()
    if model.family == "causal":
        return model.logits(model.hidden_states(TOKENS))
    return model.logits(model.decode(TOKENS[:, :4], model.encode(TOKENS)))


def randomise(model):
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, 0.3)


def close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}], ids=["plain", "rank-stabilised"])
def test_a_folder_of_peft_loads_with_equal_logits(kind, base, tmp_path, options):
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=list(KINDS[kind][2]), **options)
    adapted = peft.get_peft_model(theirs(kind, base), config)
    randomise(adapted)
    adapted.save_pretrained(tmp_path / "adapter")
    ours = load_model(str(tmp_path / "adapter"))
    assert ours.folder == tmp_path / "adapter"
    close(our_logits(ours.model), their_logits(adapted.eval(), kind))
    assert float((our_logits(ours.model) - our_logits(load_model(str(base)).model)).abs().max()) > 0.1


@pytest.mark.parametrize("targets", ["all-linear", None], ids=["all-linear", "named"])
def test_our_folder_loads_in_peft_with_equal_logits(kind, base, tmp_path, targets):
    ours = load_model(str(base)).model
    lora = Lora(rank=3, alpha=9, targets=targets or KINDS[kind][2], rank_stabilised=targets is None)
    before = our_logits(ours)
    add_adapters(ours, lora, seed=0)
    close(our_logits(ours), before)
    randomise(ours)
    save_model(ours, tmp_path / "adapter", tokenizer=None, base=str(base))
    adapted = peft.PeftModel.from_pretrained(theirs(kind, base), tmp_path / "adapter").eval()
    close(their_logits(adapted, kind), our_logits(ours))
    close(our_logits(load_model(str(tmp_path / "adapter")).model), our_logits(ours))
    merged = their_logits(adapted.merge_and_unload(), kind)
    merge_adapters(ours)
    save_model(ours, tmp_path / "merged", tokenizer=None)
    close(their_logits(theirs(kind, tmp_path / "merged"), kind), merged)


def test_all_linear_is_what_peft_means_by_it(kind, base):
    ours = load_model(str(base)).model
    add_adapters(ours, Lora(rank=3), seed=0)
    task = "SEQ_2_SEQ_LM" if kind == "mt5" else "CAUSAL_LM"
    adapted = peft.get_peft_model(theirs(kind, base), peft.LoraConfig(r=3, target_modules="all-linear", task_type=task))
    expected = sum(".lora_A." in name for name, _ in adapted.named_parameters())
    assert len(adapters(ours)) == expected
    trained = {name for name, parameter in ours.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in ours.named_parameters() if "lora_" in name}


def adapted_pair(base, kind, **options):
    """Return our model and PEFT's with equal adapters, and name -> parameter of ours and of theirs."""
    ours = load_model(str(base)).model
    add_adapters(ours, Lora(rank=3, alpha=6, targets=KINDS[kind][2]), seed=0)
    config = peft.LoraConfig(r=3, lora_alpha=6, target_modules=list(KINDS[kind][2]))
    adapted = peft.get_peft_model(KINDS[kind][0].from_pretrained(base, **options).eval(), config)
    pairs = {}
    for name, parameter in ours.named_parameters():
        if "lora_" in name:
            side = name[-1]
            module = name.removesuffix(f".lora_{side}").removeprefix("network.")
            key = next(k for k, _ in adapted.named_parameters() if k.endswith(f"{module}.lora_{side}.default.weight"))
            pairs[name] = (parameter, dict(adapted.named_parameters())[key])
    torch.manual_seed(3)
    with torch.no_grad():
        for mine, other in pairs.values():
            mine.copy_(torch.randn_like(mine) * 0.2)
            other.copy_(mine)
    return ours, adapted, pairs


@pytest.mark.parametrize("kind", ["bloom", "llama"])
def test_gradients_are_those_of_peft(base, kind):
    ours, adapted, pairs = adapted_pair(base, kind)
    ours.logits(ours.hidden_states(TOKENS)).logsumexp(-1).square().mean().backward()
    adapted(input_ids=TOKENS).logits.logsumexp(-1).square().mean().backward()
    for mine, other in pairs.values():
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-5 * float(other.grad.abs().max()))


@pytest.mark.parametrize("kind", ["bloom", "llama"])
def test_gradients_in_bf16_are_as_near_to_fp32_as_those_of_peft(base, kind):
    """Both keep the base in bf16 and adapters in fp32; ours also keeps the residual stream in fp32."""
    exact, _, exact_pairs = adapted_pair(base, kind)
    ours, adapted, pairs = adapted_pair(base, kind, dtype=torch.bfloat16)
    values = {"name": "bf16", "mixture": {"tasks": [{}]}, "model": {"base": str(base), "dropout": 0.0}}
    prepare(ours, Recipe.model_validate(values | {"training": {"steps": 1, "precision": "bf16", "device": "cpu"}}))
    for frozen in (ours.head_weight(), *(layer.weight for layer in adapters(ours).values())):
        assert frozen.dtype == torch.bfloat16
    assert {parameter.dtype for pair in pairs.values() for parameter in pair} == {torch.float32}
    exact.logits(exact.hidden_states(TOKENS)).logsumexp(-1).square().mean().backward()
    with torch.autocast("cpu", torch.bfloat16):
        hidden = ours.hidden_states(TOKENS)
        assert hidden.dtype == torch.float32
        mine, other = ours.logits(hidden), adapted(input_ids=TOKENS).logits
    for logits in (mine, other):
        logits.float().logsumexp(-1).square().mean().backward()
    for name, (mine, other) in pairs.items():
        expected = exact_pairs[name][0].grad
        distance, their_distance = torch.dist(mine.grad, expected), torch.dist(other.grad, expected)
        assert distance < max(0.02 * expected.norm(), 1.2 * their_distance), name


def test_packed_rows_stay_apart_with_adapters(base):
    ours = load_model(str(base)).model
    add_adapters(ours, Lora(rank=3), seed=0)
    randomise(ours)
    assert check_packing(ours) < 1e-3


def test_patterns_of_ranks_and_alphas_are_read_and_written(tmp_path):
    torch.manual_seed(1)
    base = tmp_path / "base"
    transformers.BloomForCausalLM(BLOOM).save_pretrained(base)
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["query_key_value", "dense"], rank_pattern={"dense": 2},
        alpha_pattern={"h.1.self_attention.dense": 32},
    )  # fmt: skip
    adapted = peft.get_peft_model(theirs("bloom", base), config)
    randomise(adapted)
    adapted.save_pretrained(tmp_path / "theirs")
    ours = load_model(str(tmp_path / "theirs")).model
    expected = their_logits(adapted.eval(), "bloom")
    close(our_logits(ours), expected)
    save_model(ours, tmp_path / "ours", tokenizer=None, base=str(tmp_path / "theirs"))
    about = json.loads((tmp_path / "ours" / "adapter_config.json").read_text())
    assert about["base_model_name_or_path"] == str(base)
    again = peft.PeftModel.from_pretrained(theirs("bloom", base), tmp_path / "ours").eval()
    close(their_logits(again, "bloom"), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"use_dora": True}, "`use_dora` is set"), ({"bias": "lora_only"}, "`bias` is set")],
)
def test_what_is_not_known_of_peft_is_refused(tmp_path, options, message):
    base = tmp_path / "base"
    transformers.BloomForCausalLM(BLOOM).save_pretrained(base)
    config = peft.LoraConfig(r=2, target_modules=["dense"], **options)
    peft.get_peft_model(theirs("bloom", base), config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(ConfigError, match=message):
        load_model(str(tmp_path / "adapter"))


def test_an_adapter_of_another_model_is_refused(tmp_path):
    bases = {}
    for kind in ("bloom", "llama"):
        bases[kind] = tmp_path / kind
        KINDS[kind][0](KINDS[kind][1]).save_pretrained(bases[kind])
    ours = load_model(str(bases["bloom"])).model
    add_adapters(ours, Lora(rank=2), seed=0)
    save_model(ours, tmp_path / "adapter", tokenizer=None, base=str(bases["llama"]))
    with pytest.raises(DataError, match="which is not a linear layer of this model"):
        load_model(str(tmp_path / "adapter"))
    with pytest.raises(UnknownNameError, match=r"model.lora.targets: unknown layer 'querry_key_value'; did you mean"):
        add_adapters(load_model(str(bases["bloom"])).model, Lora(targets=("querry_key_value",)), seed=0)
