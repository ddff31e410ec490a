"""The original way to render a mixture, for bench/mixture.py; needs ``datasets`` and ``promptsource``, not xmtf.

Per template: shuffle, select, ``datasets.map`` with ``Template.apply`` on every row, filter, sort by
inputs, ``to_json``. With ``--memoised`` Jinja compiles each source once, which the library never does.

    pip install datasets; pip install --no-deps --ignore-requires-python promptsource==0.2.3
    python bench/mixture_peers.py --data DIR --rows 2000 [--memoised]
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import time
from pathlib import Path

import datasets
import yaml
from promptsource import templates as promptsource


def read_templates(path: Path) -> list[promptsource.Template]:
    nodes = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.FullLoader)["templates"]
    return list(nodes.values())


def apply(template: promptsource.Template, row: dict) -> dict[str, str]:
    try:
        result = template.apply(row)
    except ValueError:
        return {"inputs": "", "targets": ""}
    if len(result) != 2:
        return {"inputs": "", "targets": ""}
    inputs, targets = result
    return {"inputs": inputs, "targets": targets[0] if isinstance(targets, list) else targets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--memoised", action="store_true")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    if arguments.memoised:
        promptsource.env.from_string = functools.lru_cache(maxsize=None)(promptsource.env.from_string)
    out = arguments.data / "original"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    for name in ("nli", "qa"):
        rows = datasets.Dataset.from_parquet(
            str(arguments.data / f"{name}.parquet"), cache_dir=str(out / "cache"), keep_in_memory=True
        ).select(range(arguments.rows))
        written = rendered = 0
        start = time.process_time()
        for template in read_templates(arguments.data / f"{name}.yaml"):
            chosen = rows.shuffle().select(range(len(rows)))
            result = chosen.map(
                functools.partial(apply, template), remove_columns=rows.column_names, load_from_cache_file=False
            )
            result = result.filter(lambda row: bool(row["inputs"]) and bool(row["targets"]), load_from_cache_file=False)
            result = result.sort("inputs")
            result.to_json(out / f"{name}_{template.name}.jsonl", orient="records", lines=True, force_ascii=False)
            rendered += len(rows)
            written += len(result)
        seconds = time.process_time() - start
        print(json.dumps({"set": name, "rendered": rendered, "written": written, "cpu_s": seconds}), flush=True)


if __name__ == "__main__":
    main()
