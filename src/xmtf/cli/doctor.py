"""``xmtf doctor``: what works on this machine, before any long work starts."""

from __future__ import annotations

import os
import platform
from typing import Annotated

import typer

from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError
from xmtf.extras import EXTRAS, missing_modules, require_extra
from xmtf.json_types import JsonObject
from xmtf.plugins import GROUPS, plugins
from xmtf.versions import package_versions

__all__ = ["doctor"]

_BASE = ("datasets", "pyarrow", "tokenizers", "jinja2", "babel", "sacrebleu", "matplotlib", "pydantic")


def doctor(
    model: Annotated[str | None, typer.Option(help="Also test that this model packs without leaking.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print versions, devices, extras and whether the local mirror is found.

    Example: xmtf doctor --model runs/demo/model
    """
    if model is not None:
        require_extra()
    findings = examine()
    if model is not None:
        from xmtf.evaluation.examine import examine_model

        findings["model"] = examine_model(model)
    if as_json:
        print_json(findings, indented=True)
        return
    for title, entries in findings.items():
        print_text(title)
        for name, value in entries.items():
            print_text(f"  {name:<16} {value}")


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
    return f"missing {', '.join(missing)}: pip install 'xmtf[{name}]'"


def _plugins() -> dict[str, object]:
    """Return the plug-ins that are installed, and why those that cannot be loaded cannot."""
    from xmtf.recipe.schema import TRACKERS
    from xmtf.records import KIND_METRICS
    from xmtf.sources.adapters import ADAPTERS
    from xmtf.translation.engines import BUILT_IN

    ours = {"metrics": KIND_METRICS["generation"], "adapters": ADAPTERS, "engines": BUILT_IN, "trackers": TRACKERS}
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
    if not torch.cuda.is_available():
        return devices | {"cuda": "none"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return devices


def _data() -> dict[str, object]:
    from xmtf.sources.cldr import cldr_release
    from xmtf.sources.mirror import mirror_roots

    roots = mirror_roots()
    told = [
        f"{root}: {sum(1 for _ in root.rglob('*.parquet'))} Parquet splits"
        if root.is_dir()
        else f"XMTF_DATA_ROOT={root}: no such folder"
        for root in roots
    ]
    mirror = "; ".join(told) or "XMTF_DATA_ROOT is not set: datasets come from the hub"
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    return {
        "mirror": mirror,
        "embedded": f"CLDR {cldr_release().cldr} (recipes/demo.yaml needs nothing else)",
        "hub": "offline (HF_HUB_OFFLINE)" if offline else "used where the mirror has no copy",
    }
