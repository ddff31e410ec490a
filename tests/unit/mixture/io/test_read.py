import orjson
import pytest

from xmtf.errors import ConfigError, DataError, UnknownNameError, UserError
from xmtf.mixture import build_mixture, mixture_languages, read_mixture
from xmtf.mixture.describe.stats import mixture_stats
from xmtf.mixture.io.export import export_jsonl
from xmtf.mixture.io.read import parse_filters, select_examples
from xmtf.mixture.io.released import released_name


@pytest.fixture
def mixture(recipe, tmp_path):
    build_mixture(recipe(), tmp_path / "mixture")
    return tmp_path / "mixture"


def test_languages_one_after_the_other_and_only_the_columns_asked_for(mixture):
    tables = list(read_mixture(mixture, columns=["row", "language"]))
    assert [table.column_names for table in tables] == [["row", "language"]] * 6
    assert [table.column("language")[0].as_py() for table in tables] == ["de", "de", "de", "fr", "fr", "fr"]
    assert sum(table.num_rows for table in read_mixture(mixture, language="fr")) == 118


def test_unknown_languages_and_folders_are_named(mixture, tmp_path):
    with pytest.raises(UnknownNameError, match="language of this mixture 'fi'"):
        next(read_mixture(mixture, language="fi"))
    with pytest.raises(DataError, match="there is no mixture"):
        mixture_languages(tmp_path)


def test_filters_take_any_spelling_of_a_language_and_the_last_part_of_a_name(mixture):
    assert parse_filters(["language=fra_Latn", "dataset=SUMS-fr"]) == {"language": "fr", "dataset": "SUMS-fr"}
    found = list(select_examples(mixture, {"dataset": "SUMS-fr", "template": "ask", "row": "1?"}))
    assert sum(table.num_rows for table in found) == 10
    assert not list(select_examples(mixture, {"language": "fr", "task": "sums-de"}))
    with pytest.raises(ConfigError, match="column=pattern"):
        parse_filters(["fr"])
    with pytest.raises(UnknownNameError, match="'language'"):
        parse_filters(["langage=fr"])


def test_export_is_in_the_layout_of_xp3(mixture, tmp_path):
    counts = export_jsonl(mixture, tmp_path / "out", filters={"language": "fr", "template": "ask"})
    assert counts == {"fr/xp3_sums-fr_None_train_ask.jsonl": 59}
    lines = (tmp_path / "out" / "fr" / "xp3_sums-fr_None_train_ask.jsonl").read_bytes().splitlines()
    assert len(lines) == 59
    assert set(orjson.loads(lines[0])) == {"inputs", "targets"}
    with pytest.raises(UserError, match="contains something other than an export of a mixture"):
        export_jsonl(mixture, tmp_path / "out", filters={})


def test_export_with_the_fields_of_xp3x(mixture, tmp_path):
    export_jsonl(
        mixture, tmp_path / "out", fields="xp3x", filters={"row": "11", "template": "compare", "language": "fr"}
    )
    [line] = (tmp_path / "out" / "fr" / "xp3_sums-fr_None_train_compare.jsonl").read_bytes().splitlines()
    assert orjson.loads(line) == {
        "inputs": "Is 1 larger than 1?",
        "targets": "no",
        "language": "fr",
        "split": "train",
        "template": "compare",
        "dataset": "sums-fr",
        "config": None,
    }


def test_stats_by_any_column(mixture):
    records = mixture_stats(mixture, ["cluster", "language"], lengths=True)
    assert [(record["language"], record["examples"]) for record in records] == [("fr", 118), ("de", 112)]
    assert records[0]["cluster"] == "arithmetic"
    assert records[0]["input_p5"] <= records[0]["input_p50"] == 18.0
    with pytest.raises(UnknownNameError, match="'clusters'"):
        mixture_stats(mixture, ["clusters"])


@pytest.mark.parametrize(
    ("task", "subset", "language", "path"),
    [
        ("xp3:super_glue/record", "record", "en", "en/xp3_super_glue_record_test_a_b.jsonl"),
        (
            "xp3:Helsinki-NLP/tatoeba_mt/eng-zho-inverted",
            "eng-zho",
            "en",
            "en/xp3_Helsinki-NLP_tatoeba_mt_eng-zho_test_a_b.jsonl",
        ),
        ("xp3:imdb", "", "en", "en/xp3_imdb_None_test_a_b.jsonl"),
        (
            "xp3x:allenai/wmt22_african/eng-swh-inverted",
            "eng-swh",
            "en",
            "eng_Latn/xp3_allenai_wmt22_african_eng_swh_inverted_test_a_b.jsonl",
        ),
        (
            "xp3x:codeparrot/codecomplex/codeparrot--codecomplex",
            "codeparrot--codecomplex",
            "java",
            "java/xp3_codeparrot_codecomplex_codeparrot__codecomplex_test_a_b.jsonl",
        ),
        ("p3:cos_e/v1.11", "v1.11", "en", "p3_cos_e_v1.11_a_b_test.jsonl"),
    ],
)
def test_released_names(task, subset, language, path):
    row = {"task": task, "subset": subset, "language": language, "dataset": "d", "split": "test", "template": "a b"}
    assert released_name(row).path == path


def test_what_was_not_released_has_no_released_name(mixture, tmp_path):
    with pytest.raises(ConfigError, match=r"task sums-de: it is in none of the released sets .*omit --names"):
        export_jsonl(mixture, tmp_path / "out", names="released", filters={})
    assert not (tmp_path / "out").exists()
    row = {"language": "br", "subset": "*-bre", "dataset": "Helsinki-NLP/tatoeba_mt", "split": "test", "template": "a"}
    with pytest.raises(ConfigError, match="combines several configurations"):
        released_name({"task": "xp3x:Helsinki-NLP/tatoeba_mt/*-bre", **row})
