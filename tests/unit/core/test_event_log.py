"""The log of a run: a line that was changed or cut short is named or dropped, never read."""

import json

import numpy as np
import pytest

from xmtf.artefacts.event_log import append_event, read_event, read_events
from xmtf.errors import DataError
from xmtf.training.loop.events import Log

EVENTS = [
    {"event": "stage", "stage": "mixture", "seconds": 0.1},
    {"event": "train", "step": 1, "loss": np.float32(5.9525), "rate": 1e-05, "by": {"fr": 1e22, "en": None}},
    {"event": "train", "step": 2, "loss": 5.5, "text": "é\n\u2028 end"},
]


@pytest.fixture
def log(tmp_path):
    for event in EVENTS:
        append_event(tmp_path / "log.jsonl", event)
    return tmp_path / "log.jsonl"


def test_events_are_read_as_they_were_written_and_every_line_is_json(log):
    found = list(read_events(log))
    assert [event["event"] for event in found] == ["stage", "train", "train"]
    assert found[1]["loss"] == pytest.approx(5.9525)
    assert found[2] == EVENTS[2]
    assert all(json.loads(line)["check"] for line in log.read_bytes().split(b"\n")[:-1])


def test_no_flipped_bit_of_a_line_goes_unnoticed(log):
    line = log.read_bytes().split(b"\n")[1]
    whole = read_event(line)
    for place in range(len(line)):
        for bit in range(8):
            flipped = line[:place] + bytes([line[place] ^ (1 << bit)]) + line[place + 1 :]
            found = read_event(flipped)
            assert found is None or {key: found.get(key) for key in whole} == whole, flipped


def test_a_damaged_line_is_named_by_its_number_and_dropped_where_training_resumes(log, capsys):
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([lines[0], lines[1].replace(b"5.9525", b"4.9525"), *lines[2:]]))
    with pytest.raises(DataError, match=r"log\.jsonl: line 2 was changed or cut short"):
        list(read_events(log))
    Log(log).rewind(2)
    assert "line 2 was cut short or was changed or cut short" in capsys.readouterr().err
    assert [event.get("step") for event in read_events(log)] == [None, 2]


def test_lines_of_earlier_versions_have_no_checksum_and_are_read(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"event":"train","step":1,"loss":2.5}\n')
    append_event(tmp_path / "log.jsonl", EVENTS[2])
    assert [event["step"] for event in read_events(tmp_path / "log.jsonl")] == [1, 2]
