"""How far scores in bf16 are from those in fp32 is measured, printed and kept."""

import pytest

from xmtf.evaluation.asking.rounding import largest_difference
from xmtf.evaluation.asking.subject import load_subject
from xmtf.evaluation.ranking.rank import score_choices
from xmtf.evaluation.suites.setup import Setup
from xmtf.recipe.schema import Evaluation
from xmtf.tasks import Catalogue


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_difference_is_that_of_both_ways(tiny_model, tmp_path, ask, capsys, dtype):
    ref = tiny_model(tmp_path / "model")
    requests = [ask(f"prompt {row}", "yes", "no") for row in range(40)]
    subjects = {}
    for name in ("fp32", "bf16"):
        setup = Setup(Evaluation(dtype=name), Catalogue({}))
        subjects[name] = load_subject(setup, ref, "tiny")
        assert subjects[name].identity(setup)["dtype"] == name
        assert (
            str(subjects[name].model.head_weight().dtype) == {"fp32": "torch.float32", "bf16": "torch.bfloat16"}[name]
        )
    setup = Setup(Evaluation(dtype=dtype), Catalogue({}))
    found = largest_difference(setup, subjects[dtype], ref, requests)
    if dtype == "fp32":
        assert found is None
        return
    both = []
    for subject in subjects.values():
        answers = score_choices(subject.model, subject.tokenizer, requests, rules=subject.rules)
        both.append([score for answer in answers for score in answer.scores])
    largest = max(abs(first - second) for first, second in zip(*both, strict=True))
    assert 0 < found <= 2 * largest  # other batches round otherwise
    assert f"scores in bf16 differ by at most {found:.3g} from those in fp32 (16 requests)" in capsys.readouterr().err
