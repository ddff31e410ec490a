"""What tests of several rooms share: models small enough to score in milliseconds, a check of manifests, a browser."""

import atexit
import importlib
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, settings

from xmtf.cli.terminal.printing import LISTENERS

os.environ["XMTF_CACHE"] = tempfile.mkdtemp(prefix="xmtf-tests-")  # nothing is written into the user's own
atexit.register(shutil.rmtree, os.environ["XMTF_CACHE"], ignore_errors=True)
os.environ.pop("COLUMNS", None)  # the workers of pytest-xdist have it; what tests read is a pipe, of no width

# Commands under test are processes of their own: what one has compiled, the next need not compile again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What was ignored where pytest began, as under nohup or behind an `&`, the commands under test would ignore, too.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def documented(value):
    """Fail a command that prints other fields than docs/json.md lists."""
    from xmtf.cli.app import _EDGE
    from xmtf.cli.terminal.json_fields import problems

    program, _, verb = _EDGE.verb.partition(" ")
    if program == "xmtf":  # else a noun was called by itself
        wrong = problems(verb, orjson.loads(orjson.dumps(value)))
        assert not wrong, (verb, wrong)


LISTENERS.append(documented)


@pytest.fixture(autouse=True)
def no_verb_of_an_earlier_test():
    """A noun that a test calls by itself is not the verb that an earlier test ran."""
    if (app := sys.modules.get("xmtf.cli.app")) is not None:
        app._EDGE.verb = ""


def save_tiny(folder, family="causal", seed=1, scale=None):
    """Write a model and a byte-level tokenizer to a folder in Hugging Face format; return the folder as text.

    Args:
        folder: Where to.
        family: ``causal`` (BLOOM) or ``encoder-decoder`` (mT5).
        seed: Of the weights.
        scale: Factor on the initial weights, under which logits are nearly uniform.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer as Core
    from tokenizers import decoders, models, pre_tokenizers

    from xmtf.tokens import Tokenizer

    specials = ["<pad>", "<s>", "</s>"]
    tokens = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġc", "Ġca", "Ġcat", "Tr", "Tru", "True"]
    merges = [("Ġ", "c"), ("Ġc", "a"), ("Ġca", "t"), ("T", "r"), ("Tr", "u"), ("Tru", "e")]
    core = Core(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    core.add_special_tokens(specials)
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    Tokenizer(core.to_str(), pad=0, eos=2, bos=1).save(folder)
    special = {"vocab_size": len(tokens), "pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1}
    torch.manual_seed(seed)
    if family == "causal":
        config = transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=4, **special)
        model = transformers.BloomForCausalLM(config)
    else:
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
        config = transformers.MT5Config(decoder_start_token_id=0, **sizes, **special)
        model = transformers.MT5ForConditionalGeneration(config)
    for parameter in model.parameters():
        parameter.data.mul_(scale or (3.0 if family == "causal" else 0.5))
    model.eval().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_model():
    """The function itself."""
    return save_tiny


@pytest.fixture(scope="session")
def run_apart():
    """The function of bench/apart.py; what forks of this process would import, each for itself, is imported."""
    place = Path(__file__).parents[1] / "bench" / "apart.py"
    spec = importlib.util.spec_from_file_location("apart", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("transformers", "xmtf.evaluation.run", "xmtf.training.trainer", "xmtf.runs.pipeline", "xmtf.report"):
        importlib.import_module(name)
    return module.run_apart


@pytest.fixture(scope="session")
def verify_outputs():
    """Assert that every file which the manifest of a folder names is there and has its SHA-256."""
    from xmtf.files import file_sha256, read_manifest

    def verify(folder):
        outputs = read_manifest(folder).outputs
        assert outputs
        assert {name: file_sha256(folder / name) for name in outputs} == dict(outputs)

    return verify


def missing(what):
    if os.environ.get("XMTF_NEEDS_BROWSER"):
        pytest.fail(f"{what}, and XMTF_NEEDS_BROWSER is set")
    pytest.skip(what)


@pytest.fixture(scope="module")
def chromium():
    """A real browser; skips without one, or fails where XMTF_NEEDS_BROWSER is set.

    It ends with the module that asked for it: while it lives, Playwright's event loop counts as the running one of
    its thread, and what starts a loop of its own (``anyio.run``) would be refused.
    """
    found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    if not found:
        missing("no Chromium on PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package playwright is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        yield browser
        browser.close()
