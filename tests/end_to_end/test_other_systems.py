"""What runs where the calls that only Linux has are taken away, as on macOS: all but code evaluation."""

import subprocess
import sys

import pytest

from xmtf.recipe.starting import start_folder

WITHOUT = """
import builtins, ctypes, io, os, pathlib, sys
import torch, transformers, xmtf.cli.app as app
import xmtf.evaluation.code.sandbox as sandbox

for name in ("sched_getaffinity", "sched_setaffinity", "unshare", "setns", "memfd_create", "prlimit"):
    if hasattr(os, name):
        delattr(os, name)

def closed(name, function, asked=set()):
    def call(path, *rest, **more):
        if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(("/proc", "/sys")):
            raise FileNotFoundError(2, "no such file or directory", os.fsdecode(path))
        return function(path, *rest, **more)
    return call

for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "stat"), (os, "listdir"), (os, "readlink")):
    setattr(module, name, closed(name, getattr(module, name)))

class Library:
    def __init__(self, *given, **more):
        self._library = real(*given, **more)
    def __getattr__(self, name):
        if name in ("prctl", "unshare", "setns", "mount", "pivot_root"):
            raise AttributeError(name)
        return getattr(self._library, name)

real = ctypes.CDLL
ctypes.CDLL = Library
assert not os.path.exists("/proc/self")

class Elsewhere:
    platform = "darwin"
    def __getattr__(self, name):
        return getattr(sys, name)

sandbox.sys = Elsewhere()
model = ["--model", "runs/mine/model"]
rank = ["evaluate", "rank", *model, "--suite", "cldr-kinds/fr", "--limit", "5", "--out", "kinds"]
codes = [
    app._run(["run", "mine/recipe.yaml", "run_folder=runs/mine", "training.steps=4", "execution.workers=2"]),
    app._run(rank),
    app._run(["report", "build", "runs/mine", "kinds", "--out", "page"]),
    app._run(["doctor"]),
    app._run(["evaluate", "code", *model, "--out", "programs"]),
]
print(codes)
"""


@pytest.mark.slow
def test_building_training_ranking_and_reports_need_nothing_of_linux(tmp_path):
    start_folder(tmp_path / "mine")
    told = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "[0, 0, 0, 0, 2]", told.stderr
    last = told.stderr.splitlines()[-1]
    assert "sandbox" in last, told.stderr
    assert (tmp_path / "page" / "index.html").is_file()
    assert not (tmp_path / "programs").exists()
