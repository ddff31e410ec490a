import pytest
import torch

from xmtf.files import read_jsonl
from xmtf.training.loop.events import GroupLosses, Log


def test_means_by_cluster_and_language():
    # groups: en/nli, en/qa, fr/qa; the last row is of no group
    sums = torch.tensor([[2.0, 1.0], [6.0, 2.0], [0.0, 0.0], [4.0, 1.0]])
    losses = GroupLosses.of(sums, [("en", "nli"), ("en", "qa"), ("fr", "qa")])
    assert losses.loss == pytest.approx(3.0)
    assert losses.by_cluster == {"nli": 2.0, "qa": 3.0}
    assert losses.by_language == {"en": pytest.approx(8 / 3, abs=1e-5)}


@pytest.mark.parametrize("end", [5, 1])
def test_a_line_cut_short_by_a_crash_does_not_keep_training_from_going_on(tmp_path, end, monkeypatch, capsys):
    monkeypatch.setenv("XMTF_PROGRESS", "on")
    log = Log(tmp_path / "log.jsonl")
    for step in (2, 4):
        log.write("train", step, loss=1.0)
    log.path.write_bytes(log.path.read_bytes()[:-end])
    log.rewind(4)
    log.write("train", 6, loss=1.0)
    cut = end > 1  # else only the end of the line is missing
    assert [event["step"] for event in read_jsonl(log.path)] == ([2, 6] if cut else [2, 4, 6])
    assert ("line 2 was cut short" in capsys.readouterr().err) == cut


def test_rewinding_drops_later_training_events_and_keeps_those_of_others(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    log.rewind(3)
    log.write("stage", 0, stage="tokens")
    for step in (0, 2, 4):
        log.write("train" if step else "validation", step, loss=1.0)
    log.rewind(2)
    assert [(event["event"], event["step"]) for event in read_jsonl(log.path)] == [
        ("stage", 0),
        ("validation", 0),
        ("train", 2),
    ]
    log.rewind(0)
    assert [event["event"] for event in read_jsonl(log.path)] == ["stage"]
