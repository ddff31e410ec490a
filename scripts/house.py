"""Count what docs/architecture.md promises of the code: its size, its annotations, its imports, its comments.

    python scripts/house.py [src/xmtf]

Prints one line a figure. tests/architecture holds the limits.
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class House:
    """What was counted.

    Attributes:
        modules: Lines of each module.
        folders: Modules of each folder.
        functions: Lines of each function.
        annotations: How many annotations of parameters, returns and attributes there are.
        with_any: How many of them name ``Any``.
        inner_imports: Import statements inside functions, as ``module:function``.
        comments: Lines that hold a comment alone, directives for tools left out.
        mutual: Pairs of modules that import each other, wherever the import stands.
    """

    modules: dict[str, int] = field(default_factory=dict)
    folders: Counter[str] = field(default_factory=Counter)
    functions: list[int] = field(default_factory=list)
    annotations: int = 0
    with_any: int = 0
    inner_imports: Counter[str] = field(default_factory=Counter)
    comments: int = 0
    mutual: list[tuple[str, str]] = field(default_factory=list)

    @property
    def any_share(self) -> float:
        """Annotations that name ``Any``, as a share of all."""
        return self.with_any / self.annotations

    @property
    def inner_imports_outside_cli(self) -> int:
        """Import statements inside functions, those of the command line left out: start-up needs them."""
        return sum(count for place, count in self.inner_imports.items() if not place.startswith("cli."))


def count(root: Path) -> House:
    """Count a package."""
    house = House()
    names = {_name(path, root): path for path in sorted(root.rglob("*.py"))}
    imported: dict[str, set[str]] = {}
    for name, path in names.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        house.modules[name] = text.count("\n")
        house.folders[str(path.parent.relative_to(root))] += 1
        house.comments += _comments(text)
        nodes = list(ast.walk(tree))
        imported[name] = {target for node in nodes for target in _targets(node, root.name, names)}
        for annotation in _annotations(nodes):
            house.annotations += 1
            house.with_any += any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(annotation))
        for function in (node for node in nodes if isinstance(node, Function)):
            house.functions.append(function.end_lineno - function.lineno + 1 if function.end_lineno else 0)
            inner = sum(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))
            if inner:
                house.inner_imports[f"{name}:{function.name}"] += inner
    house.mutual = sorted(
        (first, second)
        for first in imported
        for second in imported[first]
        if first < second and first in imported[second]
    )
    return house


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or root.name


def _targets(node: ast.AST, package: str, names: dict[str, Path]) -> Iterator[str]:
    if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(f"{package}."):
        return
    module = (node.module or "").removeprefix(f"{package}.")
    for alias in node.names:
        inner = f"{module}.{alias.name}"
        yield inner if inner in names else module


def _annotations(nodes: list[ast.AST]) -> Iterator[ast.expr]:
    for node in nodes:
        if isinstance(node, Function):
            arguments = node.args
            for argument in (
                *arguments.posonlyargs,
                *arguments.args,
                *arguments.kwonlyargs,
                arguments.vararg,
                arguments.kwarg,
            ):
                if argument is not None and argument.annotation is not None:
                    yield argument.annotation
            if node.returns is not None:
                yield node.returns
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


def _comments(text: str) -> int:
    if not re.search(r"^\s*#", text, flags=re.MULTILINE):
        return 0  # tokenising takes long
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(
        token.type == tokenize.COMMENT
        and not token.line[: token.start[1]].strip()
        and not token.string.startswith(("# noqa", "# type:", "# fmt:"))
        for token in tokens
    )


def main() -> None:
    """Print the figures."""
    house = count(Path(sys.argv[1] if len(sys.argv) > 1 else "src/xmtf"))
    lines, functions = list(house.modules.values()), house.functions
    for label, value in (
        ("modules", f"{len(lines)}, {sum(lines):,} lines, median {statistics.median(lines):.0f}, most {max(lines)}"),
        ("folders", f"{len(house.folders)}, most modules {house.folders.most_common(1)[0]}"),
        ("functions", f"{len(functions):,}, median {statistics.median(functions):.0f} lines, most {max(functions)}"),
        ("annotations", f"{house.annotations:,}, with Any {house.any_share:.1%}"),
        (
            "imports inside functions",
            f"{sum(house.inner_imports.values())}, outside cli {house.inner_imports_outside_cli}",
        ),
        ("comment lines", f"{house.comments}, {house.comments / sum(lines):.2%} of lines"),
        ("modules that import each other", f"{len(house.mutual)} pairs"),
    ):
        print(f"{label:32}{value}")


if __name__ == "__main__":
    main()
