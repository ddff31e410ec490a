from types import SimpleNamespace

import pytest

from xmtf.errors import DataError, SourceError
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.prompting.prompt_file import answer_file


def outputs(path, content):
    def batches(prompts, decoding, sample, known):
        yield list(enumerate(prompt.upper() for prompt in prompts))

    path.write_bytes(content)
    prompter = SimpleNamespace(fingerprint="", batch_tokens=64, batches=batches)
    return [row.line["output"] for row in answer_file(prompter, Decoding(4), path)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'\xef\xbb\xbf"a"\r\n{"prompt": "b"}\r\n'),
        ("a.json", b'["a", {"inputs": "b"}]'),
        ("a.csv", b"prompt;x\na;1\nb;2\n"),
        ("a.jsonl.zst", None),
    ],
)
def test_prompts_stand_in_files_of_every_kind(tmp_path, name, content):
    import pyarrow as pa

    packed = pa.Codec("zstd").compress(b'"a"\n"b"\n', asbytes=True)
    assert outputs(tmp_path / name, packed if content is None else content) == ["A", "B"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.jsonl", b'"a"\n"caf\xe9"\n', SourceError, "line 2 is not UTF-8 text .*save it as UTF-8"),
        ("a.jsonl", b'"a"\n"\\ud800"\n', SourceError, "line 2 contains half a character"),
        ("a.jsonl", b'"a"\n\n5\n', DataError, "line 3 has no text under `prompt` or `inputs`"),
    ],
)
def test_what_is_no_prompt_is_one_line(tmp_path, name, content, error, message):
    with pytest.raises(error, match=rf"{name}: {message}"):
        outputs(tmp_path / name, content)
