"""What stands around a text: as each kind of tokenizer has it, and as exports have to repeat it."""

import json

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Core

from xmtf.errors import ConfigError
from xmtf.models.save import copy_tokenizer
from xmtf.recipe.schema import Tokenization
from xmtf.tokens.build.encode import Ends, encode_pairs
from xmtf.tokens.tokenizer.ends import begin_of_inputs
from xmtf.tokens.tokenizer.loading import load_tokenizer
from xmtf.tokens.tokenizer.training import train_tokenizer

NAMES = ["<unk>", "<s>", "</s>", "<pad>", "[gMASK]"]


def core(kind="bytes"):
    if kind == "bytes":
        vocab = [*NAMES, *sorted(pre_tokenizers.ByteLevel.alphabet())]
        made = Core(models.BPE({token: number for number, token in enumerate(vocab)}, []))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        made.post_processor = processors.ByteLevel(trim_offsets=False)
    else:
        pieces = [(name, 0.0) for name in NAMES] + [("▁", -2.0)] + [(c, -3.0) for c in "abcdehlorwt1.Yes"]
        made = Core(models.Unigram(list(dict(pieces).items()), 0))
        made.normalizer = {
            "llama": normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
            "gemma": normalizers.Replace(" ", "▁"),
            "t5": normalizers.Replace(Regex(" {2,}"), " "),
        }[kind]
        if kind == "t5":
            made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.add_special_tokens([AddedToken(name, special=True) for name in NAMES])
    return made


def template(single, *names):
    return processors.TemplateProcessing(single=single, special_tokens=[(name, NAMES.index(name)) for name in names])


def saved(folder, made, **config):
    folder.mkdir(exist_ok=True, parents=True)
    made.save(str(folder / "tokenizer.json"))
    names = {"eos_token": "</s>", "bos_token": "<s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    told = {"tokenizer_class": "PreTrainedTokenizerFast", **names, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return folder


KINDS = {
    "bloom": (lambda: core(), {}, ()),
    "gemma": (lambda: core("gemma"), {"post": ("<s> $A", "<s>")}, (1,)),
    "xglm": (lambda: core(), {"post": ("</s> $A", "</s>")}, (2,)),
    "glm": (lambda: core(), {"post": ("[gMASK] <s> $A", "[gMASK]", "<s>")}, (4, 1)),
    "t5": (lambda: core("t5"), {"post": ("$A </s>", "</s>")}, ()),
    "flag": (lambda: core("llama"), {"add_bos_token": True}, (1,)),
    "flag off": (lambda: core("llama"), {"add_bos_token": False}, ()),
}


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    make, config, begin = KINDS[request.param]
    config = dict(config)
    made = make()
    if post := config.pop("post", None):
        made.post_processor = template(*post)
    return saved(tmp_path / "base", made, **config), begin


def test_auto_is_what_the_tokenizer_puts_there_and_the_export_repeats_it(kind, tmp_path):
    import transformers

    folder, begin = kind
    tokenizer = load_tokenizer(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    text = "Hello world"
    plain = theirs.encode(text, add_special_tokens=False)
    whole = theirs.encode(text)
    if "add_bos_token" not in (folder / "tokenizer_config.json").read_text():  # read by some classes alone
        assert tuple(whole[: whole.index(plain[0])]) == begin
    assert tokenizer.begin == begin_of_inputs(Tokenization(), tokenizer) == begin
    for choice in ("auto", True, False):
        wanted = begin_of_inputs(Tokenization(begin_of_inputs=choice), tokenizer)
        assert wanted == {"auto": begin, True: (1,), False: ()}[choice]
        out = tmp_path / str(choice)
        tokenizer.adding(wanted, keep_end=False).save(out)
        ids = transformers.AutoTokenizer.from_pretrained(out).encode(text)
        assert ids == [*wanted, *tokenizer.encode([text])[0].tolist()] == [*wanted, *plain]
        again = load_tokenizer(out)
        assert again.begin == wanted
        assert again.special_ends[1] == ()


def test_a_tokenizer_that_needs_no_change_keeps_its_bytes(tmp_path):
    """BLOOM and mT5: nothing before a text, mT5's end of text behind it."""
    for family in ("causal", "encoder-decoder"):
        trained = train_tokenizer([["a few texts"] * 9], 300, family)
        assert trained.begin == ()
        assert trained.adding((), keep_end=family != "causal") is trained
    made = core("t5")
    made.post_processor = template("$A </s>", "</s>")
    tokenizer = load_tokenizer(saved(tmp_path, made))
    assert tokenizer.adding((), keep_end=True) is tokenizer
    tokenizer.save(tmp_path / "out")
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(("kind", "doubles"), [("bytes", False), ("llama", True), ("gemma", False), ("t5", False)])
def test_a_space_of_sentencepiece_is_not_doubled(tmp_path, kind, doubles):
    tokenizer = load_tokenizer(saved(tmp_path, core(kind)))
    assert tokenizer.puts_space == doubles
    pieces = [tokenizer.token(number) for number in tokenizer.encode(["Yes" if doubles else " Yes"])[0]]
    assert "".join(pieces).replace("Ġ", "▁") == "▁Yes"


def test_begin_true_needs_a_token(tmp_path):
    tokenizer = load_tokenizer(saved(tmp_path, core(), bos_token=None))
    with pytest.raises(ConfigError, match=r"begin_of_inputs.*auto or false"):
        begin_of_inputs(Tokenization(begin_of_inputs=True), tokenizer)


def test_all_ends_of_a_generation_configuration_end_a_text(tmp_path):
    saved(tmp_path, core())
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 4, 9999]}))
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.eos, tokenizer.ends) == (2, (2, 4))  # no token has the number 9999
    tokenizer.save(tmp_path / "out")
    again = load_tokenizer(tmp_path / "out")
    assert (again.ends, again.fingerprint) == (tokenizer.ends, tokenizer.fingerprint)


def test_a_text_that_brings_its_begin_along_gets_no_second_one(tmp_path):
    tokenizer = load_tokenizer(saved(tmp_path, core()))
    pairs = encode_pairs(
        tokenizer, pa.array(["<s>ab", "ab", "<s>", "a"]), pa.array(["x"] * 4), Ends(False, (1,), end_of_inputs=True)
    )
    a, b = tokenizer.encode(["ab"])[0].tolist()
    items = np.split(pairs.inputs, np.cumsum(pairs.input_sizes)[:-1])
    assert [item.tolist() for item in items] == [[1, a, b, 2], [1, a, b, 2], [1, 2], [1, a, 2]]
    several = encode_pairs(tokenizer, pa.array(["ab", "[gMASK]<s>a", "b"]), pa.array(["x"] * 3), Ends(False, (4, 1)))
    items = np.split(several.inputs, np.cumsum(several.input_sizes)[:-1])
    assert [item.tolist() for item in items] == [[4, 1, a, b], [4, 1, a], [4, 1, b]]


def test_an_export_keeps_what_the_base_had(tmp_path):
    import transformers

    made = core()
    about = {"padding_side": "right", "model_max_length": 512, "pad_token": None, "additional_special_tokens": []}
    saved(tmp_path, made, **about)
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0]['content'] }}!")
    load_tokenizer(tmp_path).save(tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (theirs.padding_side, theirs.model_max_length, theirs.pad_token) == ("right", 512, None)
    assert theirs.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "hi!"
    more = tmp_path / "additional_chat_templates"
    more.mkdir()
    (more / "tool_use.jinja").write_text("tools: {{ messages | length }}")
    load_tokenizer(tmp_path).save(tmp_path / "several")
    copy_tokenizer(tmp_path / "several", tmp_path / "export")
    for folder in ("several", "export"):
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / folder)
        told = [theirs.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False, chat_template=name)
                for name in ("default", "tool_use")]  # fmt: skip
        assert told == ["hi!", "tools: 1"]
    in_config = saved(tmp_path / "older", made, chat_template="{{ messages | length }}", tokenizer_class="T5Tokenizer")
    load_tokenizer(in_config).save(tmp_path / "out2")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out2")
    assert (theirs.padding_side, theirs.pad_token) == ("right", "<pad>")
    assert theirs.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "1"
