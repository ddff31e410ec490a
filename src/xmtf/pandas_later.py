"""Arrow without pandas, for as long as nothing else loads it: in processes that are xmtf's own.

Arrow imports pandas at its first array, where it is installed, to recognise data frames among what it is given. That
takes a quarter of a CPU second in every process, and where nothing has loaded pandas no data frame can be given.
So the command line and its workers let that one import fail, which Arrow takes as "pandas is not installed". What loads
pandas later (a plug-in, ``datasets``, ``to_pandas``) finds it as ever, and Arrow is then connected with it.

Processes of users, who ``import xmtf``, are left as they are.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["leave_pandas_out"]

_PANDAS = "pandas"
_ARROW = "pyarrow"
"""Imported where it is used: rooms that need no Arrow import this module too."""


def leave_pandas_out() -> None:
    """Let Arrow make its first array without importing pandas; nothing changes where pandas is loaded already."""
    if _PANDAS in sys.modules or any(isinstance(finder, _PandasFinder) for finder in sys.meta_path):
        return
    finder = _PandasFinder()
    sys.meta_path.insert(0, finder)
    importlib.import_module(_ARROW).array([0])
    finder.is_open = True


class _PandasFinder(MetaPathFinder):
    """Finds no pandas at first; then finds it as ever, until it is loaded, and connects Arrow with it then."""

    is_open = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where pandas is; None for any other module.

        Raises:
            ModuleNotFoundError: Arrow asks before its first array.
        """
        if fullname != _PANDAS:
            return None
        if not self.is_open:
            raise ModuleNotFoundError("pandas is not loaded yet", name=fullname)
        others = (each for each in sys.meta_path if each is not self)
        spec = next((found for each in others if (found := each.find_spec(fullname, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _ConnectingLoader(spec.loader, self)
        return spec


class _ConnectingLoader(Loader):
    """Loads pandas, then has Arrow take notice."""

    def __init__(self, loader: Loader, finder: _PandasFinder) -> None:
        self._loader, self._finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the loader of pandas makes."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run pandas under its own loader; what is asked of Arrow is what has it look for pandas again."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self._loader.exec_module(module)
        with contextlib.suppress(ImportError):  # of a version that Arrow does not take
            importlib.import_module(_ARROW).array([0]).to_pandas()
