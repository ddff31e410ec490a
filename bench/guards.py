"""How long a template made to do harm takes until it is refused: the slowest of those that the tests know.

    python bench/guards.py

CPU seconds of one process; aim: 2 for each. The templates stand in tests/unit/templates/test_hostile.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from types import ModuleType

from xmtf.errors import TemplateError
from xmtf.templates import Template

TESTS = Path(__file__).parents[1] / "tests" / "unit" / "templates" / "test_hostile.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="Three templates of each kind: whether it runs.")
    toy = parser.parse_args().toy
    tests = hostile()
    for kind in ("ESCAPES", "LOOPS", "MEMORY"):
        templates = getattr(tests, kind)[: 3 if toy else None]
        took = {template: seconds(template, tests) for template in templates}
        slowest = max(took, key=took.__getitem__)
        print(f"{kind:<8} {len(took):3} templates, slowest {took[slowest]:.2f} CPU s (aim 2): {slowest[:60]}")


def hostile() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hostile", TESTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds(jinja: str, tests: ModuleType) -> float:
    start = time.process_time()
    try:
        Template("hostile", jinja + " ||| x").render(tests.ROW)
    except TemplateError:
        return time.process_time() - start
    raise SystemExit(f"not refused: {jinja[:60]}")


if __name__ == "__main__":
    main()
