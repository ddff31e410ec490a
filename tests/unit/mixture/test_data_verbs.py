"""``xmtf data``: what the verbs print."""

import orjson
import pytest
from typer.testing import CliRunner

from xmtf.cli.data.verbs import app
from xmtf.errors import ConfigError, SourceError, UnknownNameError


@pytest.fixture
def run(recipe):
    """Return a function that calls a verb with the recipe and returns what it prints."""
    path = str(recipe().path)

    def call(verb, *arguments):
        result = CliRunner().invoke(app, [verb, path, *arguments])
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return call


def test_plan_lists_slices_without_reading_data(run, tmp_path):
    (tmp_path / "fr.jsonl").unlink()
    text = run("plan")
    assert "2 tasks, 2 splits, 4 splits x templates, 2 languages" in text
    rows = orjson.loads(run("plan", "--json"))
    assert [row["task"] for row in rows] == ["sums-fr", "sums-de"]
    assert rows[0]["templates"] == ["ask", "compare"]


def test_plan_of_the_xp3_family_needs_neither_templates_nor_network(monkeypatch, tmp_path):
    monkeypatch.delenv("XMTF_TEMPLATES_ROOT", raising=False)
    path = tmp_path / "xp3.yaml"
    model = "model: {base: bigscience/bloom-560m}\ntraining: {steps: 1}\n"
    path.write_text(f"name: xp3\nmixture: {{tasks: [{{catalogue: xp3}}]}}\n{model}")
    result = CliRunner().invoke(app, ["plan", str(path)])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith("46 languages")


def test_build_prints_counts_by_cluster_and_language(run):
    lines = run("build").splitlines()
    assert ["arithmetic", "230", "100.00%"] in [line.split() for line in lines]
    assert ["fr", "118", "51.30%"] in [line.split() for line in lines]
    assert ["duplicate", "4"] in [line.split() for line in lines]
    assert "230 of 240 examples" in lines[-1]
    assert orjson.loads(run("build", "--json"))["languages"] == {"fr": 118, "de": 112}


def test_build_prints_the_rates_of_a_sampled_mixture(run):
    text = run("build", "mixture.rates.policy=capped", "mixture.rates.size_cap=100", "mixture.rates.max_examples=60")
    lines = [line.split() for line in text.splitlines() if "available" in line or line.startswith("sums-")]
    assert lines == [
        ["task", "available", "examples", "kept", "share"],
        ["sums-de", "112", "30", "26.79%", "50.00%"],
        ["sums-fr", "118", "30", "25.42%", "50.00%"],
    ]


def test_array_verbs(run):
    assert "2 shard tasks" in run("plan", "--write")
    assert "task 1: 114 of 120 examples" in run("run-task", "--index", "1")
    assert "task 0: 120 of 120 examples" in run("run-task", "--index", "0", "--jobs", "2")
    assert "230 of 240 examples" in run("merge")


def test_peek_takes_filters_and_overrides(run):
    run("build")
    text = run("peek", "language=fra", "template=compare", "seed=3", "-n", "2")
    assert text.count("== sums-fr (arithmetic, fr)") == 2
    assert "   of: yes | no" in text
    with pytest.raises(ConfigError, match="no example matches language=fi"):
        run("peek", "language=fi")


def test_stats_export_and_card(run, tmp_path):
    run("build")
    assert orjson.loads(run("stats", "--by", "template", "--json"))[0]["examples"] == 115
    assert "118" in run("stats")
    french = orjson.loads(run("stats", "language=fra", "template=ask", "--lengths", "--json"))
    assert [(row["language"], row["examples"], row["share"]) for row in french] == [("fr", 59, 1.0)]
    assert french[0]["target_p50"] == 1
    with pytest.raises(ConfigError, match="no example matches language=fi"):
        run("stats", "language=fi")
    with pytest.raises(UnknownNameError, match="row=3"):
        run("stats", "row=3")
    (tmp_path / "counts.csv").write_text("language,examples\nfr,120\n")
    assert "dropped: 2 duplicate" in run("stats", "--against", str(tmp_path / "counts.csv"))
    with pytest.raises(ConfigError, match="remove the filters"):
        run("stats", "language=fr", "--against", str(tmp_path / "counts.csv"))
    assert "59 lines in 1 files" in run("export", "language=fr", "template=ask", "--to", str(tmp_path / "out"))
    assert run("card").startswith("---\npretty_name: sums\n")


def test_fetch_lists_only_what_a_mirror_can_hold(run):
    assert run("fetch", "--dry-run") == ""
    assert "facebook/xnli/fr [validation]" in run("fetch", "--dry-run", "evaluation.suites.0.tasks.0.tasks=[xnli/fr]")


def test_pack_writes_token_files(run, tmp_path):
    run("build")
    settings = ["tokens.tokenizer.train_vocab_size=300", "tokens.packing.sequence_length=64"]
    assert orjson.loads(run("pack", *settings, "--json"))["folder"] == str(tmp_path / "run" / "tokens")
    assert (tmp_path / "run" / "tokens" / "tokenizer" / "tokenizer.json").exists()


def test_a_folder_without_a_mixture_is_said_and_a_run_has_one(run, tmp_path):
    with pytest.raises(SourceError, match="there is no finished mixture; build one with"):
        run("stats")
    run("build", "--out", str(tmp_path / "r" / "mixture"))
    shown = [CliRunner().invoke(app, ["stats", str(tmp_path / "r" / name)]).stdout for name in ("", "mixture")]
    assert shown[0] == shown[1] != ""


def test_a_mixture_replaces_nothing_else(run, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("months of work")
    for verb in ("build", "merge"):
        with pytest.raises(ConfigError, match="notes: contains something other than a mixture"):
            run(verb, "--out", str(tmp_path / "notes"))
    assert (tmp_path / "notes" / "mine.txt").exists()
