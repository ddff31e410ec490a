"""The reference of file formats: columns of Parquet files, keys of manifests, events of the log."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

import xmtf
from docs_pages.markdown import code, prose, table
from xmtf.artefacts import manifest_parts
from xmtf.files import Manifest
from xmtf.records import Score
from xmtf.results.frames import SCORE_COLUMNS
from xmtf.results.items import ITEM_SCHEMA
from xmtf.tasks.prompting.prompted import CONVERSATION_SCHEMA

__all__ = ["format_page", "log_events"]

_SOURCES = Path(xmtf.__file__).parent
_COLUMNS = {
    "inputs": "the rendered prompt",
    "targets": "the rendered answer",
    "choices": "the answer choices that are ranked; null where the task has none",
    "language": "code of the language of the targets",
    "prompt_language": "code of the language of the template",
    "translation": "`none`, `human` or `machine`: how the template came into its language",
    "task": "id of the task, such as `xnli/fr`",
    "cluster": "task cluster",
    "dataset": "dataset, as the catalogue names it",
    "subset": "subset of the dataset",
    "split": "split of the dataset",
    "template": "name of the template",
    "row": "number of the row in its split",
    "messages": "of conversations: the messages and tools, as JSON",
    "suite": "suite of the evaluation",
    "prompt": "what the model was asked",
    "scores": "sum of the log-probabilities of each choice, in nats",
    "num_tokens": "tokens that each sum is over",
    "gold": "index of the right choice",
    "choice": "index of the best choice under the job's scoring",
    "text": "the generated answer",
    "references": "right answers of a generation task",
    "correct": "right or wrong; null for errors and for metrics that do not judge single items",
    "error": "why there is no answer, otherwise null",
    "truncated": "the prompt lost tokens",
    "ending": "why a text ended: `end of text`, `stop text` or `budget`",
    "measures": "counts whose sums give each measure of the job",
    "unconditional": "sums after an empty prompt, for `pmi`; null where they were not computed",
    "joint": "sums under lm-evaluation-harness's tokenisation, for `lm_eval`; null likewise",
    "text_language": "language that the answer was found to be in",
    "text_script": "script that the answer was found to be in",
    "in_language": "whether that is the requested language; null where it cannot be judged",
    "reasoning": "what the model wrote before its answer, where `answer_after` ends it",
    "folder": "the results folder",
    "model": "its name for the model",
    "axis": "what is held out in the suite",
    "kind": "`rank`, `generation` or `code`",
    "scoring": "how choices are scored",
    "metric": "name of the metric",
    "value": "the value: a share (0-1), or 0-100 for BLEU and chrF",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
    "chance": "value of guessing",
    "majority": "value of always predicting the most frequent right choice",
    "num_items": "items evaluated",
    "dropped": "rows that could not be asked",
    "unanswered": "generated answers in which nothing was found",
    "shots": "examples shown before each prompt",
    "limited": "only some of the rows were used",
    "signature": "what the metric computes, with its version",
    "model_fingerprint": "hash of weights and tokenizer",
    "template_hash": "hash of the template",
    "parallel": "set of tasks of which equal rows are translations",
    "revision": "revision of the dataset that the catalogue pins",
}
_FOLDER = """\
# Files and their formats

Made from the code: columns and keys are those that it reads and writes.

## A run folder

| path | format |
| --- | --- |
| `recipe.yaml` | the recipe, resolved: [every key](recipe/index.md) |
| `mixture/language=<code>/part-*.parquet` | prompted examples: [columns](#mixture-parquet) |
| `mixture/README.md` | the dataset card; `datasets` reads its header |
| `mixture/overlap.jsonl`, `quarantine.jsonl` | examples that suites ask about; rows on which a template fails |
| `mixture/slices.jsonl` | counts of each split of a task |
| `tokens/<name>_<language>_*_document.{bin,idx}` | [token files](../tokens.md#what-pack-writes), Megatron's format |
| `checkpoints/step-<n>/` | weights and optimizer by tensor, progress, a hash of each file: what training resumes from |
| `model/` | Hugging Face format: safetensors, configuration, tokenizer, generation configuration, card |
| `results/<label>/scores.jsonl` | [a line per model, task, split and template](#scores-jsonl) |
| `results/<label>/items/<suite>.parquet` | [a row per evaluated item](#items-parquet) |
| `results/<label>/samples.jsonl`, `completions.jsonl` | generations to read; every program with its verdict |
| `results/<label>/answers-*.jsonl` | the journal: every answer as it was written, with a hash per line |
| `report/index.html` | the report, self-contained |
| `log.jsonl` | [events](#log-jsonl) of training |
| `manifest.json` in each | [what the stage did](#manifest-json) |
"""


def format_page() -> str:
    """Return the page."""
    sections = [
        _FOLDER,
        "## mixture: *.parquet\n\n" + _columns(CONVERSATION_SCHEMA),
        "## items: *.parquet\n\n" + _columns(ITEM_SCHEMA),
        "## scores.jsonl\n\nA line is an object with these keys:\n\n" + _record(Score),
        "### Scores as a data frame\n\n`xmtf.load_results(path).scores` has a row for each value of them:\n\n"
        + _columns(SCORE_COLUMNS),
        "## manifest.json\n\n" + _record(Manifest),
        *(_part(name) for name in manifest_parts.__all__ if name.endswith(("Details", "Counts"))),
        _log_section(),
    ]
    return "\n".join(sections)


def _columns(schema: pa.Schema) -> str:
    return table(
        ("column", "type", ""), [(code(each.name), code(str(each.type)), _COLUMNS[each.name]) for each in schema]
    )


def _part(name: str) -> str:
    kind = getattr(manifest_parts, name)
    stage = re.sub(r"(Details|Counts)$", "", name).lower()
    key = kind._KEY
    return f"### {key} of {stage}\n\n{_record(kind)}"


def _record(kind: Any) -> str:
    """Return the fields of a dataclass, with what its docstring says of each."""
    text = inspect.getdoc(kind) or ""
    about = dict(_attributes(text))
    first = prose(" ".join(text.partition("\n\n")[0].split()))
    rows = []
    for each in dataclasses.fields(kind):
        shown = str(each.type).replace("typing.", "")
        alias = re.search(r'alias="(\w+)"', shown)
        shown = re.sub(r"Annotated\[(.*), Field\(.*", r"\1", shown)
        rows.append((code(alias[1] if alias else each.name), code(shown), prose(about.get(each.name, ""))))
    return f"{first}\n\n{table(('key', 'type', ''), rows)}"


def _attributes(docstring: str) -> list[tuple[str, str]]:
    section = docstring.partition("Attributes:\n")[2].partition("\n\n")[0]
    joined = re.sub(r"\n\s{8,}", " ", section)
    return [(match[1], match[2]) for match in re.finditer(r"^ {4}(\w+): (.*)$", joined, re.MULTILINE)]


def log_events() -> dict[str, set[str]]:
    """Return event -> keys that code writes with it: the literal calls of ``write`` on a log in rooms that train."""
    found: dict[str, set[str]] = {}
    for path in sorted((_SOURCES / "training").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "write"):
                continue
            if not ast.unparse(node.func.value).endswith("log") or not node.args:
                continue
            if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                keys = {keyword.arg for keyword in node.keywords if keyword.arg}
                found.setdefault(node.args[0].value, set()).update(keys)
    return found


def _log_section() -> str:
    rows = [(code(event), ", ".join(map(code, sorted(keys)))) for event, keys in sorted(log_events().items())]
    return "## log.jsonl\n\nOne event per line, with its step, its time and a hash of the line.\n\n" + table(
        ("event", "keys"), rows
    )
