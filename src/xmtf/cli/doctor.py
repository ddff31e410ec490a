"""``xmtf doctor``: what works on this machine, before any long work starts."""

from __future__ import annotations

import locale
import os
import platform
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError
from xmtf.extras import EXTRAS, missing_modules, require_extra
from xmtf.json_types import JsonObject
from xmtf.plugins import GROUPS, plugins
from xmtf.recipe.schema import TRACKERS
from xmtf.records import KIND_METRICS
from xmtf.versions import package_versions, source_commit

__all__ = ["doctor"]

_BASE = ("pyarrow", "tokenizers", "jinja2", "babel", "sacrebleu", "matplotlib", "pydantic")
_TOLD = ("XMTF_", "HF_", "CUDA_", "OMP_", "TORCH_", "NCCL_", "SLURM_JOB", "RANK", "WORLD_SIZE")
"""Beginnings of the variables that a bug report names."""
_SWITCHES = frozenset(
    {
        "XMTF_PROGRESS",
        "XMTF_LOG_LEVEL",
        "HF_HUB_OFFLINE",
        "OMP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "RANK",
        "WORLD_SIZE",
    }
)
"""Those whose values are told."""


def doctor(
    model: Annotated[str | None, typer.Option(help="Also test this model for leaks between packed examples.")] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Print what a bug report needs, without secrets, and nothing else.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print versions, devices, extras and whether the local mirror is found.

    Example: xmtf doctor --model runs/demo/model
    Example: xmtf doctor --report
    """
    if model is not None:
        require_extra()
    findings = examine()
    if model is not None:
        from xmtf.evaluation.examine import examine_model

        findings["model"] = examine_model(model)
    if report:
        findings = shareable(findings)
    if as_json:
        print_json(findings, indented=True)
        return
    for title, entries in findings.items():
        print_text(title)
        for name, value in entries.items():
            print_text(f"  {name:<16} {value}")


def shareable(findings: dict[str, JsonObject]) -> dict[str, JsonObject]:
    """Return findings with what else a bug report needs; no secret, no user name, no host.

    Of variables only names are told, and values of those that hold nothing but a switch; home folders are ``~``.
    """
    ours = sorted(name for name in os.environ if name.startswith(_TOLD))
    told = {name: os.environ[name] if name in _SWITCHES else "set" for name in ours}
    versions = package_versions([*_BASE, *(module for modules in EXTRAS.values() for module in modules)])
    about = {
        "commit": source_commit() or "a release",
        "platform": platform.platform(),
        "locale": f"{locale.getlocale()[0]}, {sys.stdout.encoding}",
        "terminal": "yes" if sys.stderr.isatty() else "no",
    }
    whole = findings | {"report": about, "versions": dict(versions), "environment": dict(told)}
    home = str(Path.home())
    return {
        title: {name: str(value).replace(home, "~") if len(home) > 1 else value for name, value in entries.items()}
        for title, entries in whole.items()
    }


def examine() -> dict[str, JsonObject]:
    """Return what is installed, found and reachable, by heading."""
    return {
        "machine": _machine(),
        "packages": _packages(),
        "extras": {name: _extra(name, modules) for name, modules in EXTRAS.items()},
        "plug-ins": _plugins(),
        "devices": _devices(),
        "data": _data(),
    }


def _machine() -> dict[str, object]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores,
        "memory": f"{memory:.1f} GiB",
    }


def _packages() -> dict[str, str]:
    versions = package_versions(_BASE)
    return {name: versions.get(name, "not installed") for name in ("xmtf", *_BASE)}


def _extra(name: str, modules: tuple[str, ...]) -> str:
    missing = missing_modules(modules)
    if not missing:
        return "ready"
    return f"lacks {', '.join(missing)}: pip install 'xmtf[{name}]'"


def _of_models() -> dict[str, Collection[str]]:
    """Return our own metrics and trackers."""
    return {"metrics": KIND_METRICS["generation"], "trackers": TRACKERS}


def _of_data() -> dict[str, Collection[str]]:
    """Return our own adapters and engines of translation."""
    from xmtf.sources.adapters import ADAPTERS
    from xmtf.translation.engines import BUILT_IN

    return {"adapters": ADAPTERS, "engines": BUILT_IN}


def _plugins() -> dict[str, object]:
    """Return the plug-ins that are installed, and why those that cannot be loaded cannot."""
    ours = _of_models() | _of_data()
    found: dict[str, object] = {}
    for group in GROUPS:
        for plugin in plugins(group, frozenset(ours[group])).values():
            try:
                plugin.load()
                state = "ready"
            except ConfigError as error:
                state = str(error).partition(": ")[2]
            found[f"{group[:-1]} {plugin.name}"] = f"{plugin.package} {plugin.version}: {state}"
    return found or {"none": "packages with entry points xmtf.metrics, xmtf.adapters, xmtf.engines or xmtf.trackers"}


def _devices() -> dict[str, object]:
    if missing_modules(["torch"]):
        return {"torch": "not installed: mixtures and reports work, models need pip install 'xmtf[train]'"}
    import torch

    devices: dict[str, object] = {"torch": torch.__version__, "cpu threads": torch.get_num_threads()}
    if torch.backends.mps.is_available():
        from xmtf.models.parity import parity

        found = parity(torch.device("mps"))
        devices["mps"] = f"{'used with device=mps' if found.holds else 'not used'} ({found})"
    if not torch.cuda.is_available():
        return devices | {"cuda": "none"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return devices


def _mirror(root: str) -> str:
    from xmtf.remote.storage import check_address, is_remote

    if is_remote(root):
        try:
            check_address(root)
        except ConfigError as error:
            return f"XMTF_DATA_ROOT: {error}"
        return f"{root}: an address, read when a dataset is looked up"
    if not Path(root).is_dir():
        return f"XMTF_DATA_ROOT={root}: no such folder"
    return f"{root}: {sum(1 for _ in Path(root).rglob('*.parquet'))} Parquet splits"


def _data() -> dict[str, object]:
    from xmtf.sources.cldr import cldr_release
    from xmtf.sources.mirror import mirror_roots

    mirror = (
        "; ".join(_mirror(root) for root in mirror_roots()) or "XMTF_DATA_ROOT is not set: datasets come from the hub"
    )
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    return {
        "mirror": mirror,
        "embedded": f"CLDR {cldr_release().cldr} (all that recipes/demo.yaml needs)",
        "hub": "offline (HF_HUB_OFFLINE)" if offline else "used if the mirror has no copy",
    }
