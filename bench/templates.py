"""Rows rendered per CPU second: ours beside the promptsource library, on the same rows and templates.

    python bench/templates.py --promptsource /path/to/venv/bin/python

The peer runs in an environment of its own, since it needs old packages::

    python -m venv peer && peer/bin/pip install setuptools==65.5.0 jinja2 pyyaml pandas requests datasets
    peer/bin/pip install --no-deps --ignore-requires-python promptsource==0.2.3

Rows are made up from a seed: natural language inference (a premise of about 54 words, a hypothesis of 10) and
question answering (a context of about 115 words, nested answers, a third without). One thread, CPU seconds.
The peer is called row by row in a plain loop, which spares it the cost of datasets.map. `original` compiles
each template for each row, as the library does; `memoised` is the library with its compilation cached.
Legacy renderings of the first rows are compared with the peer's: they must be equal.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

WORDS = [
    f"{a}{b}{c}" for a in ("ka", "lo", "mi", "tre", "Na") for b in ("ro", "si", "len") for c in ("", "ta", "s", "ng")
]
NLI_CHOICES = "Yes ||| Maybe ||| No"
QA_ANSWER = "{% if answers.text %}{{answers.text[0]}}{% else %}{{answer_choices[0]}}{% endif %}"

NLI = [
    ("{{premise}} Does it follow that {{hypothesis}}? ||| {{ answer_choices[label] }}", NLI_CHOICES),
    ("Read: {{premise}}\nClaim: {{hypothesis}}\nYes, maybe or no? ||| {{ answer_choices[label] }}", NLI_CHOICES),
    ("Suppose {{premise}} Then {{hypothesis}} is\n||| {{ answer_choices[label] }}", "right ||| open ||| wrong"),
    ("{{hypothesis}} {{answer_choices | join(', ')}}? {{premise}} ||| {{ answer_choices[label] }}", NLI_CHOICES),
    ("Write what follows from: {{premise}} ||| {{hypothesis}}", None),
]
QA = [
    ("{{context}}\nQ: {{question}} ||| " + QA_ANSWER, "unknown"),
    ("Title: {{title}}\n{{context}}\n{{question}} ||| " + QA_ANSWER, "no answer"),
    ("{% if answers.text %}{{context}} {{question}} ||| {{answers.text[0]}}{% endif %}", None),
    ("What is this text called? {{context}} ||| {{title}}", None),
    ("{{context | lower}} {{title | upper}}. Ask about it: ||| {{question | trim}}", None),
]


def text(draw: random.Random, words: float) -> str:
    return " ".join(draw.choices(WORDS, k=max(1, round(words)))) + "."


def nli_rows(count: int) -> list[dict[str, Any]]:
    draw = random.Random(1)
    return [
        {"premise": text(draw, draw.gauss(54, 10)), "hypothesis": text(draw, 10), "label": draw.randrange(3)}
        for _ in range(count)
    ]


def qa_rows(count: int) -> list[dict[str, Any]]:
    draw = random.Random(2)
    rows = []
    for _ in range(count):
        answers = [] if draw.random() < 1 / 3 else [text(draw, 3)]
        context = text(draw, draw.lognormvariate(4.7, 0.4))
        nested = {"text": answers, "answer_start": [7] * len(answers)}
        rows.append({"title": text(draw, 3), "context": context, "question": text(draw, 11), "answers": nested})
    return rows


SETS: dict[str, tuple[Callable[[int], list[dict[str, Any]]], list[tuple[str, str | None]]]] = {
    "inference": (nli_rows, NLI),
    "questions": (qa_rows, QA),
}
CHECKED = 200


def digest(results: list[Any]) -> str:
    return hashlib.sha256(json.dumps(results).encode()).hexdigest()


def peer(count: int, memoised: bool) -> None:
    """Run inside the peer's environment; print one JSON object."""
    import functools

    from promptsource import templates as library

    if memoised:
        library.env.from_string = functools.lru_cache(maxsize=None)(library.env.from_string)
    answer = {}
    for name, (make, sources) in SETS.items():
        rows = make(count)
        templates = [library.Template("t", jinja, "", answer_choices=choices) for jinja, choices in sources]
        start = time.process_time()
        results = [[template.apply(row) for row in rows] for template in templates]
        seconds = time.process_time() - start
        checked = [r if r != [""] else None for each in results for r in each[:CHECKED]]
        answer[name] = {"speed": len(rows) * len(templates) / seconds, "digest": digest(checked)}
    print(json.dumps(answer))


def ask_peer(python: str, count: int, memoised: bool) -> dict[str, Any]:
    command = [python, __file__, "--as-peer", "--rows", str(count), *(["--memoised"] if memoised else [])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def best(work: Callable[[], None], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def ours(count: int, repeats: int) -> dict[str, dict[str, Any]]:
    import pyarrow as pa

    from xmtf.templates import Template

    pa.set_cpu_count(1)
    answer = {}
    for name, (make, sources) in SETS.items():
        rows = make(count)
        table = pa.Table.from_pylist(rows)
        templates = [Template("t", jinja, choices) for jinja, choices in sources]

        def tables(mode: str, templates: list[Any] = templates, table: Any = table) -> None:
            for template in templates:
                template.render_table(table, dataset="d", subset="", split="s", mode=mode)

        def one_by_one(templates: list[Any] = templates, rows: list[Any] = rows) -> None:
            for template in templates:
                for row in rows:
                    template.render(row)

        total = count * len(templates)
        checked = [
            [rendered.inputs, *rendered.targets] if (rendered := template.render(row, mode="legacy")) else None
            for template in templates
            for row in rows[:CHECKED]
        ]
        answer[name] = {
            "ours, row by row": total / best(one_by_one, repeats),
            "ours, table, legacy": total / best(lambda t=tables: t("legacy"), repeats),
            "ours, table": total / best(lambda t=tables: t("fixed"), repeats),
            "digest": digest(checked),
        }
        for number, template in enumerate(templates, start=1):
            speed = count / best(lambda t=tables, one=template: t("fixed", [one]), repeats)
            answer[name][f"  template {number}"] = speed
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--promptsource", help="Python of an environment with promptsource 0.2.3")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--peer-rows", type=int, default=1_000, help="rows for the unmemoised peer, which is slow")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memoised", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.rows, options.repeats = 50, 1
    if options.as_peer:
        peer(options.rows, options.memoised)
        return
    results = ours(options.rows, options.repeats)
    digests = {name: values.pop("digest") for name, values in results.items()}
    speeds: dict[str, dict[str, float]] = results
    if options.promptsource:
        for label, count, memoised in (("original", options.peer_rows, False), ("memoised", options.rows, True)):
            answer = ask_peer(options.promptsource, count, memoised)
            for name, values in answer.items():
                if values["digest"] != digests[name]:
                    sys.exit(f"{label}: renders {name} differently")
                speeds[name] = {label: values["speed"], **speeds[name]}
    for name, values in speeds.items():
        print(f"\n{name}: rows per CPU second")
        for label, speed in values.items():
            against = "".join(
                f"  {speed / values[other]:7.1f}x {other}" for other in ("original", "memoised") if other in values
            )
            print(f"  {label:22} {speed:12,.0f}{against}")


if __name__ == "__main__":
    main()
