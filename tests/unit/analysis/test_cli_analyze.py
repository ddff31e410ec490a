import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from xmtf.cli.analyze import _measured, app
from xmtf.errors import ConfigError, SourceError, TemplateError
from xmtf.evaluation.suites.setup import setup_of, suite_slices
from xmtf.files import read_manifest
from xmtf.results.overlap import read_overlap
from xmtf.sources import fingerprint_source


def call(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def test_contamination_leaves_a_table_and_the_items(notes, tmp_path):
    result = call("contamination", notes.path, "--words", "5", "--out", tmp_path / "out")
    assert result.exit_code == 0
    with (tmp_path / "out" / "contamination.csv").open() as stream:
        (record,) = csv.DictReader(stream)
    assert (record["task"], record["any"]) == ("asked", "2")
    assert len((tmp_path / "out" / "items.jsonl").read_text().splitlines()) == 2
    found = read_overlap(tmp_path / "out")
    assert found.seen("asked", "train", np.arange(4)).tolist() == [True, True, False, False]
    assert found.mixture == read_manifest(notes.run_folder / "mixture").fingerprint
    (part,) = suite_slices(setup_of(notes))
    source = part.slice.task.source(part.slice.split)
    assert found.data == {"asked [train]": fingerprint_source(source, offline=True)}


def test_nothing_is_said_of_the_texts_of_items_that_cannot_be_looked_for(notes):
    told = " ".join(call("contamination", notes.path, "--words", "40").output.split())
    assert "3 of 4 items can be searched for by their texts: 3 by their fields, 0 by 40 consecutive words" in told
    assert "of these, nothing was found for 2" in told
    assert "1 item has neither (its fields are short" in told
    assert "share nothing" not in told


def test_splits_that_share_nothing_say_how_many_of_their_items_were_looked_for(notes):
    nothing = {"items": 9, "measurable": 0, "by_fields": 0, "by_words": 0, "clean": 0, "any": 0}
    some = {"items": 9, "measurable": 5, "by_fields": 5, "by_words": 2, "clean": 5, "any": 0}
    told = list(_measured([nothing], 13))
    assert not any("share nothing" in line for line in told)
    assert "nothing is known about their texts" in told[-1]
    told = list(_measured([nothing, some], 13))
    assert told[1] == "1 split shares nothing with the mixture in 5 of its 9 items, those that can be searched for"

    told = list(_measured([nothing, some, some], 13))
    assert told[1].startswith("2 splits share nothing with the mixture in 10 of their 18 items")
    assert told[2].startswith("17 items have neither (their fields")


def test_a_suite_without_rows_is_refused(notes, tmp_path):
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}), tmp_path / "asked.parquet"
    )
    notes.path.write_text(notes.path.read_text().replace("asked.jsonl", "asked.parquet"))
    with pytest.raises(SourceError, match=r"asked \[train\]: has no rows"):
        call("contamination", notes.path)


def test_bytes_in_a_suite_name_its_task_and_file(notes, tmp_path):
    pq.write_table(pa.table({"text": pa.array([b"\xff"], pa.binary()), "label": [0]}), tmp_path / "asked.parquet")
    notes.path.write_text(notes.path.read_text().replace("asked.jsonl", "asked.parquet"))
    with pytest.raises(TemplateError, match=r"asked \[train\] \(\S*asked\.parquet\): .*'text' holds bytes"):
        call("contamination", notes.path)


def test_a_folder_needs_the_names_of_evaluation_sets(notes):
    with pytest.raises(ConfigError, match="--suite"):
        call("contamination", notes.run_folder / "mixture")


def test_tables_are_printed_as_json(notes):
    result = call("taxonomy", notes.path, "--json")
    assert json.loads(result.stdout)["languages"][0]["examples"] == 3


def test_code_without_a_program_is_refused(notes):
    with pytest.raises(ConfigError, match="no program"):
        call("code", notes.run_folder / "mixture")
