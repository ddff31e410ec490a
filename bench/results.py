"""How long results take to read and a report to build: CPU seconds, of this version or of another checkout.

Makes a run folder as the demo leaves it, with the prompts of its evaluation and drawn answers, twice: with the items
of a suite in one file, and with a file a job as versions did before. Then measures, in processes of their own::

    python bench/results.py --out /tmp/bench                                 this version on both layouts
    python bench/results.py --out /tmp/bench --source ../other/src           another checkout on files a job

Prints a JSON line for each measurement: the least of ``--times`` CPU seconds, imports left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from apart import run_apart

RECIPE = Path(__file__).parents[1] / "recipes" / "demo.yaml"
SOURCE = Path(__file__).parents[1] / "src"
LAYOUTS = ("suites", "jobs")
TOY = """\
name: toy
mixture: {tasks: [{catalogue: demo, tasks: [cldr-calendar-completion/fr], limit_rows: 20}]}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1}
evaluation:
  suites: [{name: rows, tasks: [{catalogue: demo, tasks: [cldr-calendar-completion/sw], limit_rows: 8}]}]
"""
MEASURE = """
import json, sys, time
from pathlib import Path
import matplotlib.pyplot
from xmtf.recipe.schema import Report
from xmtf.report import build_report
from xmtf.report.comparison.results import collect_results
from xmtf.report.items import item_sets
run, what, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
start = time.process_time()
if what == "read":
    results = collect_results([run])
    shown = sum(found.shown for found in item_sets(results, 1000))
else:
    shown = len(build_report([run], out, Report()).outputs)
print(json.dumps({"cpu_s": round(time.process_time() - start, 3), "found": shown}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="Folder for the run folders; kept for the next call.")
    parser.add_argument("--toy", action="store_true", help="A recipe of two small tasks, in a folder that is deleted.")
    parser.add_argument("--source", type=Path, help="The src folder of another checkout to measure.")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--limit", type=int, help="Jobs of each evaluation; all by default.")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    if options.toy:
        with tempfile.TemporaryDirectory() as folder:
            options.out, options.recipe, options.times = Path(folder) / "out", Path(folder) / "recipe.yaml", 1
            options.recipe.write_text(TOY)
            run(options)
        return
    if options.out is None:
        parser.error("--out: name a folder for the run folders")
    run(options)


def run(options: argparse.Namespace) -> None:
    if not (options.out / "suites").exists():
        make(options.recipe, options.out, options.limit)
    for layout in ("jobs",) if options.source else LAYOUTS:
        for what in ("read", "report"):
            found = [measure(options, options.out / layout, what) for _ in range(options.times)]
            best = min(found, key=lambda one: one["cpu_s"])
            print(
                json.dumps({"source": str(options.source or SOURCE), "layout": layout, "what": what, **best}),
                flush=True,
            )


def measure(options: argparse.Namespace, run: Path, what: str) -> dict[str, float]:
    source, out = options.source or SOURCE, options.out / "report"
    shutil.rmtree(out, ignore_errors=True)
    environment = dict(os.environ) | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURE, str(run), what, str(out)]
    result = run_apart(command, forked=options.toy, environment=environment)
    result.check_returncode()
    return json.loads(result.stdout.splitlines()[-1])


def make(recipe: Path, out: Path, limit: int | None) -> None:
    """Write the run folders: what the demo asks, answered by chance, and its mixture."""
    import numpy as np

    from xmtf.evaluation.engine.answer import Answer
    from xmtf.evaluation.scoring.samples import choose_samples, sample_of
    from xmtf.evaluation.scoring.score import items_table, score_items
    from xmtf.evaluation.suites.jobs import jobs
    from xmtf.evaluation.suites.setup import setup_of, suite_slices
    from xmtf.files import Manifest, write_manifest, write_text
    from xmtf.mixture import build_mixture
    from xmtf.recipe import dump_recipe, load_recipe
    from xmtf.results.files import SCORES
    from xmtf.results.items import About, suite_items
    from xmtf.results.samples import write_samples
    from xmtf.results.scores import write_scores
    from xmtf.run_folder import LABELS, RunFolder

    loaded = load_recipe(recipe)
    run = RunFolder(out / "suites")
    setup = setup_of(loaded)
    asked = list(jobs(setup, suite_slices(setup)))[:limit]
    for label in LABELS:
        random, scores, folder = np.random.default_rng(len(label)), [], run.results(label)
        with suite_items(folder) as items:
            for job in asked:
                answers = [answer(Answer, request, random) for request in job.requests]
                about = About(job.info, label, label, "bloomz", {"torch": "2"})
                table = items_table(job, answers, "bloomz")
                items.add(table, about)
                if job.requests:
                    scores.append(score_items(table, about))
        write_scores(folder / SCORES, scores)
        write_samples(folder, [sample_of(job, row, Answer(text="a text")) for job, row in choose_samples(asked, 24)])
        write_manifest(folder, Manifest("evaluation", label))
    write_text(run.recipe, dump_recipe(loaded.recipe))
    build_mixture(loaded, run.mixture)
    split(run.path, out / "jobs")


def answer(kind, request, random):  # noqa: ANN001, ANN201 - Answer is imported late
    if not request.choices:
        return kind(text=request.references[0] if random.random() < 0.3 else "another text")
    return kind(tuple((-9 * random.random(len(request.choices))).tolist()), tuple(1 for _ in request.choices))


def split(run: Path, out: Path) -> None:
    """Copy a run folder, its items laid out as a file a job."""
    import orjson
    import pyarrow.parquet as pq

    from xmtf.files import slug
    from xmtf.results.items import item_files
    from xmtf.run_folder import RunFolder
    from xmtf.text.lines import to_line

    shutil.copytree(run, out, ignore=shutil.ignore_patterns("items"))
    for folder in RunFolder(run).all_results.iterdir():
        there = RunFolder(out).results(folder.name) / "items"
        there.mkdir()
        for file in item_files(folder):
            for about, table in file.each_job():
                told = to_line(about) | {"job": to_line(about.job)}
                asked = about.job.provenance
                name = slug(
                    "--".join((about.job.suite, asked.task, asked.split, asked.template, about.job.template_hash))
                )
                old = table.drop_columns(["cluster", "dataset", "subset"])
                pq.write_table(
                    old.replace_schema_metadata({b"xmtf": orjson.dumps(told)}),
                    there / f"{name}.parquet",
                    compression="zstd",
                )


if __name__ == "__main__":
    main()
