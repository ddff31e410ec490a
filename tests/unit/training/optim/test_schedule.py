import pytest

from xmtf.recipe.schema import Schedule
from xmtf.training.optim.schedule import check_warmup, learning_rate


def rates(num_steps, peak=1.0, **schedule):
    return [learning_rate(step, peak, Schedule(**schedule), num_steps) for step in range(num_steps)]


def test_linear_worked_example():
    assert rates(6, name="linear", warmup=2) == [0.5, 1, 0.75, 0.5, 0.25, 0]


def test_constant_after_warm_up():
    assert rates(4, peak=2e-5) == [2e-5] * 4
    assert rates(4, warmup=2) == [0.5, 1, 1, 1]


def test_cosine_falls_to_the_final_fraction():
    values = rates(5, name="cosine", final_fraction=0.1)
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(0.1)
    assert rates(2, name="cosine", final_fraction=0.1)[0] == pytest.approx(0.55)


def test_inverse_square_root_is_continuous_at_the_end_of_warm_up():
    values = rates(16, name="inverse_sqrt", warmup=4)
    assert values[3] == values[2] + 0.25 == 1
    assert values[15] == pytest.approx(0.5)


def test_a_warm_up_that_is_longer_than_the_run_is_said(monkeypatch, capsys):
    monkeypatch.delenv("XMTF_PROGRESS", raising=False)
    check_warmup(Schedule(warmup=10), 10)
    assert capsys.readouterr().err == ""
    check_warmup(Schedule(warmup=500), 100)
    assert "warmup: 500 steps are more than the 100 of this run" in capsys.readouterr().err
