"""How fast a mixture is built: rows per CPU second, ours beside the original way.

    python bench/mixture.py                                    ours beside the strongest short loops
    python bench/mixture.py --peers ENV/bin/python             and datasets.map + promptsource, as it is and memoised

The short loops (``short_loops/mixture.py``) compile Jinja once for each template: a bare loop, and ``datasets.map`` in
batches. They write prompts and nothing else: no deduplication, no guard, no provenance.

Two made sets as the originals have them: NLI rows (a premise of about 54 words, a hypothesis of 10) and
QA rows (a context of about 115 words, nested answers, a third of them unanswerable), five templates each.
A row counts once per template that is applied to it. Ours runs as `xmtf data build` does, in one process:
rendering, filters, held-out guard, deduplication, shuffle, provenance, quarantine, manifest. Time is that
of the build alone, without imports, in CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from short_loops.mixture import bare_loop, batched_map

for variable in ("OMP_NUM_THREADS", "ARROW_NUM_THREADS", "OMP_THREAD_LIMIT"):
    os.environ.setdefault(variable, "1")
os.environ["XMTF_PROGRESS"] = "off"

TEMPLATES = {
    "nli": {
        "follows": "{{premise}}\nDoes it follow that {{hypothesis}} Yes, no, or maybe? ||| {{answer_choices[label]}}",
        "given": "Given {{premise}} Is it certain that {{hypothesis}} ||| {{answer_choices[label]}}",
        "claim": "Text: {{premise}}\nClaim: {{hypothesis}}\nVerdict: ||| {{answer_choices[label]}}",
        "suppose": "Suppose {{premise}} May we infer that {{hypothesis}} ||| {{ answer_choices[label] }}",
        "write": "{% if label == 0 %}Write what follows from: {{premise}} ||| {{hypothesis}}{% endif %}",
    },
    "qa": {
        "answer": "{{context}}\n\n{{question}} ||| {{answers.text[0]}}",
        "title": "From the article {{title}}: {{context}}\nQuestion: {{question}}\nAnswer: ||| {{answers.text[0]}}",
        "find": "Find the answer to {{question}} in this text.\n{{context}} ||| {{answers.text[0]}}",
        "ask": "{{context}}\nWhich question has the answer {{answers.text[0]}}? ||| {{question}}",
        "whether": "{{context}}\nIs {{question}} answered here? ||| "
        "{% if answers.text %}{{answer_choices[0]}}{% else %}{{answer_choices[1]}}{% endif %}",
    },
}
CHOICES = {"nli": "Yes ||| Maybe ||| No", "qa": "yes ||| no"}


def make_rows(rows: int, folder: Path) -> None:
    """Write both sets and their templates."""
    random = np.random.default_rng(0)
    syllables = np.array([a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er", "ist")])
    words = np.array(["".join(random.choice(syllables, size)) for size in 1 + random.poisson(1.2, 20_000)])
    frequency = 1 / np.arange(1, len(words) + 1)
    pool = random.choice(words, 2_000_000, p=frequency / frequency.sum())

    def text(length: int) -> str:
        start = int(random.integers(0, len(pool) - length))
        return " ".join(pool[start : start + length]) + "."

    premises = [text(max(5, int(random.normal(54, 15)))) for _ in range(rows)]
    hypotheses = [text(max(3, int(random.normal(10, 3)))) for _ in range(rows)]
    nli = {"premise": premises, "hypothesis": hypotheses, "label": random.integers(0, 3, rows)}
    contexts = [text(max(20, int(random.lognormal(4.6, 0.5)))) for _ in range(rows)]
    answers = [
        {"text": [], "answer_start": []} if draw < 1 / 3 else {"text": [context[5:25]], "answer_start": [5]}
        for context, draw in zip(contexts, random.random(rows), strict=True)
    ]
    questions = [text(9)[:-1] + "?" for _ in range(rows)]
    qa = {"title": [text(2) for _ in range(rows)], "context": contexts, "question": questions, "answers": answers}
    for name, columns in (("nli", nli), ("qa", qa)):
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        (folder / f"{name}.yaml").write_text(promptsource_yaml(name), encoding="utf-8")
    pq.write_table(pa.table(nli).slice(0, min(rows, 100)), folder / "held_out.parquet")


def promptsource_yaml(name: str) -> str:
    lines = [f"dataset: {name}", "templates:"]
    for number, (template, jinja) in enumerate(TEMPLATES[name].items()):
        key = f"00000000-0000-4000-8000-{number:012d}"
        lines += [
            f"  {key}: !Template",
            f"    answer_choices: {json.dumps(CHOICES[name])}",
            f"    id: {key}",
            f"    jinja: {json.dumps(jinja)}",
            "    metadata: !TemplateMetadata {choices_in_prompt: false, metrics: [Accuracy], original_task: true}",
            f"    name: {template}",
            "    reference: ''",
        ]
    return "\n".join(lines) + "\n"


def ours(folder: Path, name: str) -> dict[str, float]:
    """Build the mixture of one set; return what it took."""
    from xmtf.mixture import build_mixture
    from xmtf.recipe import load_recipe

    recipe = {
        "name": name,
        "execution": {"engine": "inline"},
        "own_tasks": [
            {"id": name, "path": f"{name}.parquet", "templates": f"{name}.yaml", "language": "en"},
            {
                "id": "held-out", "path": "held_out.parquet", "templates": "nli.yaml", "language": "en",
                "role": "evaluation", "split": "test",
            },
        ],
        "mixture": {"tasks": [{"tasks": [name]}], "cap_examples": None, "held_out": {"overlap": "flag"}},
        "evaluation": {"suites": [{"name": "held out", "tasks": [{"tasks": ["held-out"]}]}]},
        "model": {"architecture": "bloom", "hidden_size": 8, "num_layers": 1, "num_heads": 1},
        "training": {"steps": 1},
    }  # fmt: skip
    path = folder / f"{name}.recipe.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    loaded = load_recipe(path)
    start = time.process_time()
    manifest = build_mixture(loaded, folder / f"mixture-{name}")
    seconds = time.process_time() - start
    return {"rendered": manifest.counts["in"], "written": manifest.counts["out"], "cpu_s": seconds}


def short_loop(loop: Callable[[Path, Path, Iterable[str], str], int], folder: Path, name: str) -> dict[str, float]:
    """Build the mixture of one set with a short loop; return what it took."""
    data, out = folder / f"{name}.parquet", folder / f"{loop.__name__}-{name}"
    out.mkdir()
    start = time.process_time()
    written = loop(data, out, TEMPLATES[name].values(), CHOICES[name])
    seconds = time.process_time() - start
    rendered = pq.read_metadata(data).num_rows * len(TEMPLATES[name])
    return {"rendered": rendered, "written": written, "cpu_s": seconds}


def peer(python: str, folder: Path, rows: int, *, memoised: bool) -> dict[str, dict[str, float]]:
    """Run bench/mixture_peers.py; return what each set took."""
    script = Path(__file__).with_name("mixture_peers.py")
    command = [python, str(script), "--data", str(folder), "--rows", str(rows), *(["--memoised"] if memoised else [])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {line["set"]: line for line in map(json.loads, output.splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="rows of each set, for ours and the memoised peer")
    parser.add_argument("--original-rows", type=int, default=2_000, help="rows for the original, which is slow")
    parser.add_argument("--peers", help="a Python with datasets and promptsource")
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    arguments = parser.parse_args()
    if arguments.toy:
        arguments.rows = 50
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(arguments.rows, folder)
        ways = {"xmtf": {name: ours(folder, name) for name in TEMPLATES}}
        for label, loop in (("bare loop", bare_loop), ("batched map", batched_map)):
            ways[label] = {name: short_loop(loop, folder, name) for name in TEMPLATES}
        if arguments.peers:
            ways["original"] = peer(arguments.peers, folder, arguments.original_rows, memoised=False)
            ways["memoised"] = peer(arguments.peers, folder, arguments.rows, memoised=True)
    print(f"{'way':<12}{'set':<6}{'rendered':>10}{'written':>10}{'CPU s':>9}{'rows / CPU s':>14}{'xmtf is':>10}")
    for way, sets in ways.items():
        for name, took in sets.items():
            speed = took["rendered"] / took["cpu_s"]
            own = ways["xmtf"][name]
            ratio = own["rendered"] / own["cpu_s"] / speed
            print(
                f"{way:<12}{name:<6}{took['rendered']:>10,}{took['written']:>10,}{took['cpu_s']:>9.2f}{speed:>14,.0f}"
                f"{ratio:>9.2f}x"
            )


if __name__ == "__main__":
    main()
