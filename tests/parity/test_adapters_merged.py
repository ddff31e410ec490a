"""The code of docs/finetune.md that merges adapters with PEFT, run as it stands there on adapters of ours."""

import re
from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft", reason="peft is not installed")

from xmtf.models import load_model, save_model  # noqa: E402
from xmtf.models.lora import adapters, add_adapters  # noqa: E402
from xmtf.recipe.schema import Lora  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

PAGE = Path(__file__).parents[2] / "docs" / "finetune.md"
TOKENS = torch.tensor([[5, 9, 5, 7, 20, 31]])


def logits(model):
    return model.logits(model.hidden_states(TOKENS))


@torch.no_grad()
@pytest.mark.parametrize("combination", ["linear", "cat"])
def test_the_pages_code_merges_adapters_and_xmtf_reads_what_comes_out(combination, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(1)
    transformers.LlamaForCausalLM(config).save_pretrained("base")
    for number, name in enumerate(("first", "second")):
        model = load_model("base").model
        add_adapters(model, Lora(rank=4), seed=number)
        for layer in adapters(model).values():
            layer.lora_B.normal_(0.0, 0.3)
        save_model(model, tmp_path / "runs" / name / "model", tokenizer=None, base="base")
    (code,) = re.findall(r"```python\n(from peft.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(code.replace('combination_type="linear"', f'combination_type="{combination}"'), names)
    theirs = names["model"]
    theirs.set_adapter("both")
    ours = load_model("merged/both").model
    torch.testing.assert_close(logits(ours), theirs.eval()(input_ids=TOKENS).logits, atol=1e-5, rtol=1e-5)
    weights = {
        name: {
            layer: (each.lora_B @ each.lora_A) * each.scale for layer, each in adapters(load_model(path).model).items()
        }
        for name, path in {"first": "runs/first/model", "second": "runs/second/model", "both": "merged/both"}.items()
    }
    for layer, both in weights["both"].items():
        mean = (weights["first"][layer] + weights["second"][layer]) / 2
        assert torch.allclose(both, mean, atol=1e-5) == (combination == "cat")  # linear mixes A and B apart
