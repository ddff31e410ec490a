"""Names of torch that it calls private: all that xmtf uses, and what they are needed for, in one place.

They are taken when the module is imported that needs one, so a release of torch without it is named in one line, and
rehearsals, pipelines and the like fail by themselves. Operators (``torch.ops``) are not among them: their names are in
what torch saves and continues loading.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from xmtf.errors import UserError

if TYPE_CHECKING:
    from torch import _foreach_mul_ as foreach_mul_
    from torch import _foreach_norm as foreach_norm
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed.distributed_c10d import _set_pg_timeout as set_group_timeout
    from torch.distributed.pipelining._backward import stage_backward
    from torch.testing._internal.distributed.fake_pg import FakeStore
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._python_dispatch import _get_current_dispatch_mode_stack as dispatch_modes
    from torch.utils._pytree import tree_leaves

    def dump_flight_recorder() -> bytes:  # torch leaves it out of its stubs
        """Return what the flight recorder holds, pickled."""

    def forget_meshes() -> None:  # torch leaves it untyped
        """Forget what operations of DTensors gave, and on which mesh."""


__all__ = [
    "FakeStore",
    "FakeTensorMode",
    "TorchDispatchMode",
    "dispatch_modes",
    "dump_flight_recorder",
    "foreach_mul_",
    "foreach_norm",
    "forget_meshes",
    "set_group_timeout",
    "stage_backward",
    "tree_leaves",
]

VERSIONS = "torch>=2.13,<2.15"
"""Releases that have them all, as pyproject.toml says it, too."""
_WHERE = {
    "FakeStore": ("torch.testing._internal.distributed.fake_pg", "FakeStore", "rehearsals"),
    "FakeTensorMode": ("torch._subclasses.fake_tensor", "FakeTensorMode", "rehearsals and bf16 on CPUs"),
    "TorchDispatchMode": ("torch.utils._python_dispatch", "TorchDispatchMode", "rehearsals and bf16 on CPUs"),
    "dispatch_modes": ("torch.utils._python_dispatch", "_get_current_dispatch_mode_stack", "bf16 on CPUs"),
    "dump_flight_recorder": ("torch._C._distributed_c10d", "_dump_fr_trace", "training in several processes"),
    "foreach_mul_": ("torch", "_foreach_mul_", "gradient clipping"),
    "foreach_norm": ("torch", "_foreach_norm", "gradient norms"),
    "forget_meshes": ("torch.distributed.tensor.debug", "_clear_sharding_prop_cache", "training.parallel"),
    "set_group_timeout": ("torch.distributed.distributed_c10d", "_set_pg_timeout", "training.timeouts"),
    "stage_backward": ("torch.distributed.pipelining._backward", "stage_backward", "pipelines (training.parallel.pp)"),
    "tree_leaves": ("torch.utils._pytree", "tree_leaves", "rehearsals"),
}
"""Name here -> module and name in torch, and what needs it."""


def __getattr__(name: str) -> object:
    """Take a name from torch (PEP 562).

    Raises:
        UserError: This release of torch has it no more.
    """
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, private, needs = _WHERE[name]
    try:
        return getattr(importlib.import_module(module), private)
    except (ModuleNotFoundError, AttributeError):
        version = importlib.import_module("torch").__version__
        raise UserError(
            f"torch {version} has no {module}.{private}, which {needs} need; install a release that has it: "
            f"pip install '{VERSIONS}'"
        ) from None
