"""A mixture has the same bytes from one worker, from two, and after a kill -9 and a restart."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from xmtf.files import file_sha256
from xmtf.mixture import build, build_mixture
from xmtf.recipe import load_recipe

TEMPLATES = """\
templates:
  {id}: !Template
    answer_choices: null
    id: {id}
    jinja: 'Say {{{{text}}}} {{{{number}}}} times. ||| {{{{ (text ~ " ") * number }}}}'
    metadata: !TemplateMetadata {{choices_in_prompt: false, languages: [en], metrics: [], original_task: true}}
    name: repeat
    reference: ''
"""
LANGUAGES = ("fr", "de", "es", "it", "pt", "sv", "fi", "pl")


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")
    (tmp_path / "templates.yaml").write_text(TEMPLATES.format(id="0b1c2d3e-0000-4000-8000-000000000001"))
    own_tasks = []
    for number, language in enumerate(LANGUAGES):
        rows = [{"text": f"{language} {row % 1500}", "number": 1 + row % 7} for row in range(2000)]
        (tmp_path / f"{language}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        task = {"id": f"repeat-{language}", "path": f"{language}.jsonl", "templates": "templates.yaml"}
        own_tasks.append(task | {"language": language if number % 2 else "fr"})
    recipe = {
        "name": "restart",
        "own_tasks": own_tasks,
        "mixture": {"tasks": [{"catalogue": "own"}], "shard_rows": 1000},
        "model": {"architecture": "bloom", "hidden_size": 8, "num_layers": 1, "num_heads": 1},
        "training": {"steps": 1},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return lambda *overrides: load_recipe(path, overrides)


def contents(folder):
    """Return the hash of every file but the manifest, which tells the time taken."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(folder)): file_sha256(path) for path in paths}


def test_one_worker_two_workers_and_a_kill_give_the_same_bytes(load, tmp_path, monkeypatch):
    one, two, killed = (tmp_path / name for name in ("one", "two", "killed"))
    build_mixture(load("execution.engine=inline"), one)
    build_mixture(load("execution.workers=2"), two)
    assert contents(two) == contents(one)

    finished = _kill_half_way(load().path, killed)
    rendered = []
    build_shard = build.build_shard
    monkeypatch.setattr(
        build, "build_shard", lambda spec, folder: rendered.append(folder.name) or build_shard(spec, folder)
    )
    build_mixture(load("execution.engine=inline"), killed)
    assert len(rendered) == len(LANGUAGES) - len(finished)
    assert contents(killed) == contents(one)


def test_the_shards_of_a_killed_worker_are_done_by_another(load, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    build_mixture(load("execution.engine=inline"), one)
    killed, built = [], threading.Event()
    killer = threading.Thread(target=_kill_a_worker, args=(build.work_folder(two) / "shards", killed, built))
    killer.start()
    build_mixture(load("execution.workers=2"), two)
    built.set()
    killer.join()
    assert killed, "no worker was killed"
    assert contents(two) == contents(one)


def _kill_a_worker(shards, killed, built):
    """Wait until a shard is done, then send SIGKILL to a worker process of this one."""
    while not killed and not built.is_set():
        if list(shards.glob("[!.]*/done.json")):
            for process in psutil.Process().children():
                with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
                    if any("spawn_main" in argument for argument in process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        return
        time.sleep(0.001)


KILLED = """
import os, signal, sys
from xmtf.cli.app import main
from xmtf.mixture import build

done, real = [], build.build_shard

def build_shard(spec, folder):
    result = real(spec, folder)  # written, and not yet marked as done
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(folder)
    return result

build.build_shard = build_shard
sys.argv = ["xmtf", *sys.argv[1:]]
main()
"""


def _kill_half_way(recipe, out):
    """Start a build of its own, which is killed with SIGKILL when two shards are done; return the finished shards."""
    arguments = ["data", "build", str(recipe), "execution.engine=inline", "--out", str(out)]
    process = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert process.returncode == -signal.SIGKILL, "the build ended before it was killed"
    finished = [path.parent.name for path in (build.work_folder(out) / "shards").glob("[!.]*/done.json")]
    assert len(finished) == 2
    return finished
