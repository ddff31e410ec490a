"""What tests in Python use of the program that they test: read from their text, before anything runs."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator

__all__ = ["called_apart", "defines_function", "used_names"]


def defines_function(code: str, name: str) -> bool:
    """Return whether code, complete as it is, defines a function of this name."""
    tree = parsed(code)
    return tree is not None and name in _defined(tree, ast.FunctionDef)


def used_names(solution: str, tests: str) -> tuple[str, ...]:
    r"""Return what tests use of a program.

    >>> used_names("import sys\ndef sum(a, b): return a + b", "assert sum(1, 2) == max(3, sys.maxsize - sys.maxsize)")
    ('sum', 'sys')

    Args:
        solution: A right program: a name that it defines is its own, also where Python has one of that name.
        tests: Text of the tests.
    """
    program, tree = parsed(solution), parsed(tests)
    own = set(_bound(program)) if program else set()
    if tree is None:
        return ()
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | set(_bound(tree))
    loads = dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id not in bound)
    return tuple(name for name in loads if name in own or not hasattr(builtins, name))


def called_apart(solution: str, tests: str) -> tuple[tuple[str, ...], str]:
    r"""Return the functions that tests call and what they need besides, or ``((), "")`` where they cannot run apart.

    They can where all that they use of the program are functions that they call, and modules of Python. A class
    would have to be made of values that are no plain ones.

    >>> called_apart("import math\ndef area(r): return math.pi * r * r", "assert area(1) == math.pi")
    (('area',), 'import math')
    >>> called_apart("class Pair: pass\ndef f(p): return 1", "assert f(Pair()) == 1")
    ((), '')
    """
    program, tree = parsed(solution), parsed(tests)
    if program is None or tree is None:
        return (), ""
    functions, imports = set(_defined(program, ast.FunctionDef)), dict(_imports(program))
    used = used_names(solution, tests)
    names = tuple(name for name in used if name in functions)
    if not names or any(name not in functions and name not in imports for name in used):
        return (), ""
    called = [id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    loads = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in names]
    if any(id(node) not in called for node in loads):
        return (), ""
    return names, "\n".join(dict.fromkeys(imports[name] for name in used if name in imports))


def parsed(code: str) -> ast.Module | None:
    """Return the tree of code, or None where it is not Python."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defined(tree: ast.Module, kind: type[ast.FunctionDef]) -> list[str]:
    return [node.name for node in tree.body if isinstance(node, kind)]


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names that a program imports from Python's own modules, each with its statement."""
    for node in tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for each in node.names:
            module = node.module or "" if isinstance(node, ast.ImportFrom) else each.name
            if module.partition(".")[0] in sys.stdlib_module_names:
                yield (each.asname or each.name).partition(".")[0], ast.unparse(node)


def _bound(tree: ast.Module) -> Iterator[str]:
    """Yield the names that the statements of a module bind."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((each.asname or each.name).partition(".")[0] for each in node.names)
        else:
            yield from (
                each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
            )
