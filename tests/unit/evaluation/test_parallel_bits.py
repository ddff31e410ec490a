"""Bits per byte, and bits a sentence beside another language's, on parallel text."""

import json
import math
import unicodedata

import pytest
import torch

from xmtf.errors import ConfigError, SourceError
from xmtf.evaluation import parallel_bits as room
from xmtf.evaluation.asking.subject import Subject
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.parallel_bits import bits_lines, parallel_bits, read_parallel
from xmtf.evaluation.suites.setup import Setup
from xmtf.recipe.schema import Evaluation
from xmtf.tasks import Catalogue


@pytest.fixture
def files(tmp_path):
    (tmp_path / "en").write_text("one text\nanother\n\nthree\n")
    (tmp_path / "fr").write_text(unicodedata.normalize("NFD", "un été\nautre\nvide\ntrois\n"))
    return [f"en={tmp_path}/en", f"fra_Latn={tmp_path}/fr"]


def bits(model, tokenizer, text):
    """Score a text by hand."""
    ids = [tokenizer.bos, *tokenizer.encode([text])[0].tolist()]
    logp = torch.log_softmax(model.logits(model.hidden_states(torch.tensor([ids]))[0, :-1]), -1)
    return -logp[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum().item() / math.log(2)


def test_bits_are_per_byte_of_composed_text_and_beside_the_same_sentences(
    files, causal, tokenizer, monkeypatch, capsys, tmp_path
):
    subject = Subject(causal, tokenizer, PromptRules(), "tiny", "f", "bloomz", Decoding(4), 512)
    monkeypatch.setattr(room, "load_subject", lambda *args: subject)
    texts = read_parallel(files)
    out = tmp_path / "bits.jsonl"
    english, french = parallel_bits(Setup(Evaluation(), Catalogue({})), texts, model="tiny", out=out)
    assert [json.loads(line)["bits"] for line in out.read_text().splitlines()] == [english.bits, french.bits]
    ours = [bits(causal, tokenizer, text) for text in ("un été", "autre", "trois")]
    theirs = [bits(causal, tokenizer, text) for text in ("one text", "another", "three")]
    assert (french.language, french.sentences, french.bytes, french.left_out) == (
        "fr",
        3,
        len("un été".encode()) + 10,
        1,
    )
    assert french.bits == pytest.approx(sum(ours), rel=1e-5)
    assert french.per_byte == pytest.approx(sum(ours) / 18, rel=1e-5)
    assert french.relative == pytest.approx(sum(ours) / sum(theirs), rel=1e-5)
    assert french.relative_low <= french.relative <= french.relative_high
    assert (english.relative, english.reference) == (1.0, "en")
    assert "1 of 4 sentences are blank" in capsys.readouterr().err
    assert bits_lines([english, french])[0].endswith("bits, of those in en")
    with pytest.raises(ConfigError, match="not one of the given languages"):
        parallel_bits(Setup(Evaluation(), Catalogue({})), texts, model="tiny", relative_to="de")


def test_files_that_are_not_parallel_are_refused(files, tmp_path):
    (tmp_path / "sw").write_text("moja\nmbili\n")
    with pytest.raises(ConfigError, match=r"has 4 sentences and .*sw has 2"):
        read_parallel([*files, f"sw={tmp_path}/sw"])
    with pytest.raises(ConfigError, match="fr is given twice"):
        read_parallel([*files, f"fr={tmp_path}/fr"])
    with pytest.raises(ConfigError, match="at least two languages"):
        read_parallel(files[:1])
    with pytest.raises(ConfigError, match="write LANGUAGE=FILE"):
        read_parallel(["en", *files])
    (tmp_path / "empty").write_text("\n\n")
    with pytest.raises(SourceError, match="has no text"):
        read_parallel([*files, f"de={tmp_path}/empty"])
