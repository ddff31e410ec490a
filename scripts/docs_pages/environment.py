"""The reference of environment variables and exit codes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import xmtf
from docs_pages.markdown import directive, prose, table
from xmtf.cli.terminal.error_codes import error_rows

__all__ = ["environment_page", "exit_code_page", "variables_in_code"]

_NAME = re.compile(r"(?<!\w)XMTF_[A-Z]+(?:_[A-Z]+)*")
_EXAMPLES = {"XMTF_EVALUATE_RANK_DEVICE"}
"""Of an option of a verb."""
VARIABLES = {
    "XMTF_DATA_ROOT": "Mirrors of datasets: a folder or an address, or several separated by colons; a split is read "
    "from the first that has it ([fetching](../mixtures.md#data-that-has-to-be-fetched)).",
    "XMTF_TEMPLATES_ROOT": "Checkouts of promptsource: a folder, or `branch=folder,branch=folder` "
    "([prompts of the xP3 family](../xp3.md#where-the-prompts-come-from)).",
    "XMTF_CACHE": "Folder of cached hashes of large files and copies from addresses; by default `~/.cache/xmtf`.",
    "XMTF_HUB_STREAM": "`1` reads converted datasets on the hub without keeping a copy.",
    "XMTF_OVERRIDES": "Overrides for every recipe that is read, such as `training.steps=200 'description=a b'`.",
    "XMTF_LOG_LEVEL": "`debug`, `info`, `warning` or `error`, as `--log-level`.",
    "XMTF_PROGRESS": "`off` silences progress and the log on stderr.",
    "XMTF_TETHER": "Set by xmtf for the processes that it starts, so that they end with it; not for users.",
}
_OTHERS = [
    ("`HF_HOME`, `HF_HUB_CACHE`", "where the hub's files are cached"),
    ("`HF_HUB_OFFLINE`, `HF_DATASETS_OFFLINE`", "no network: set in the jobs of a cluster under `offline=true`"),
    ("`HF_TOKEN`", "gated datasets and models; never written to disk"),
    ("`OMP_NUM_THREADS`", "threads of torch on a CPU; another number sums in another order"),
    ("`CUDA_VISIBLE_DEVICES`", "which GPUs are seen"),
    ("`RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`", "set by `torchrun`"),
    ("`SLURM_ARRAY_TASK_ID`", "default of `--index`"),
    ("`RAY_ADDRESS`", "the cluster that `execution.address: auto` finds"),
    ("`OPENAI_API_KEY`, `DEEPL_AUTH_KEY`, `GOOGLE_APPLICATION_CREDENTIALS`", "keys of engines and of served models"),
    ("`WANDB_MODE`, `TRACKIO_DIR`", "of the trackers"),
]
_EXITS = {
    0: ("success", "the work is done, or was done already"),
    1: ("failure", "a damaged artefact, a check that found a difference, or a fault of xmtf"),
    2: ("invalid input", "a user can fix it: the line on stderr names file, key, row or dataset"),
    130: ("interrupted", "Ctrl-C, SIGTERM or SIGHUP; the same command resumes"),
}


def variables_in_code() -> set[str]:
    """Return the variables that strings of the package name."""
    found: set[str] = set()
    for path in Path(xmtf.__file__).parent.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if "XMTF_" not in source:
            continue
        tree = ast.parse(source)
        texts = (
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        found.update(name for text in texts for name in _NAME.findall(text))
    return found - _EXAMPLES


def environment_page() -> str:
    """Return the page.

    Raises:
        LookupError: The code reads a variable that the page does not describe, or the other way round.
    """
    differ = variables_in_code() ^ set(VARIABLES)
    if differ:
        raise LookupError(
            f"describe in scripts/docs_pages/environment.py, or remove there: {', '.join(sorted(differ))}"
        )
    entries = [directive("envvar", name, about) for name, about in sorted(VARIABLES.items())]
    return (
        "# Environment variables\n\nEvery option of a verb can be given by a variable: `--device` of `xmtf evaluate "
        "rank` by `XMTF_EVALUATE_RANK_DEVICE`; a flag by `1`. What comes from the environment is printed on stderr. A "
        "build fails if the code reads a variable that is not listed here.\n\n"
        + "\n".join(entries)
        + "\n## Of others\n\nxmtf also respects these:\n\n"
        + table(("variable", ""), _OTHERS)
    )


def exit_code_page() -> str:
    """Return the page: every exit code with the codes of errors that end with it."""
    codes: dict[int, list[str]] = {}
    for name, exit_code, _, _ in error_rows():
        codes.setdefault(exit_code, []).append(f"`{name}`")
    assert set(codes) <= set(_EXITS), codes
    rows = [(str(number), *_EXITS[number], ", ".join(codes.get(number, []))) for number in sorted(_EXITS)]
    rows = [(number, prose(name), prose(about), names) for number, name, about, names in rows]
    return (
        "# Exit codes\n\nEvery verb ends with one of these. With `--json` an error is an object on stderr with its "
        "code; [errors](../errors.md) lists what happened and what to do.\n\n"
        + table(("exit code", "", "meaning", "codes of errors"), rows)
    )
