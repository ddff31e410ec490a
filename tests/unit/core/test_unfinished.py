"""What killed processes left is swept, and nothing that is in use, of others or of another machine is."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xmtf.errors import UserError
from xmtf.files import atomic_folder, atomic_path, discard_folder, sweep, write_text
from xmtf.guards import unfinished
from xmtf.guards.alone import alone_at, alone_in, in_turn, refuse_others
from xmtf.guards.unfinished import is_being_written, scratch_folder, sweep_scratch, temporary_folder

HERE = socket.gethostname()
DAY = 25 * 3600


@pytest.fixture
def other():
    """Run Python code in another process until it prints a line; kill it with -9 when told to, or at the end."""
    running = []

    def start(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", f"import sys, time; from pathlib import Path\n{code}", *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


WRITING = {
    "file": "from xmtf.files import atomic_path as give",
    "folder": "from xmtf.files import atomic_folder as give",
}
CODE = """
with give(Path(sys.argv[1])) as temporary:
    (temporary / "a" if temporary.is_dir() else temporary).write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("kind", WRITING)
def test_what_is_in_use_stays_and_what_a_killed_process_left_goes(tmp_path, other, kind):
    process = other(WRITING[kind] + CODE, tmp_path / "model")
    (left,) = tmp_path.iterdir()
    sweep(tmp_path)
    assert left.exists()
    assert is_being_written(tmp_path / "model")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left.exists()
    assert not is_being_written(tmp_path / "model")
    write_text(tmp_path / "other", "not of this name")
    assert left.exists()
    with atomic_path(tmp_path / "model") as temporary:  # whoever writes the same name sweeps it
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


NAMES = [
    (f".model.{HERE}-99999999.tmp", 0, True),
    (f".model.{HERE}-{os.getpid()}.tmp", 0, True),  # of a process that had the number of this one
    (f".model.{HERE}-99999999.old", 0, True),
    (".model.elsewhere-12.tmp", 0, False),
    (".model.elsewhere-12.tmp", DAY, True),
    (".model.tmp", DAY, False),
    ("model.tmp", DAY, False),
    (f"model.{HERE}-12.tmp", DAY, False),
    (".ssh", DAY, False),
    (f".notes.{HERE}-12.txt", DAY, False),
]


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(("name", "age", "goes"), NAMES, ids=range(len(NAMES)))
def test_what_is_swept(tmp_path, name, age, goes, folder):
    path = tmp_path / "run" / "part" / name
    content = path / "weights" if folder else path
    content.parent.mkdir(parents=True)
    content.write_text("half")
    for each in {path, content}:
        os.utime(each, (time.time() - age,) * 2)
    with alone_in(tmp_path / "run"):
        assert path.exists() is not goes


def test_a_folder_of_another_machine_that_is_still_written_to_stays(tmp_path):
    path = tmp_path / ".model.elsewhere-12.tmp"
    path.mkdir()
    (path / "fresh").write_text("")
    os.utime(path, (time.time() - DAY,) * 2)
    sweep(tmp_path)
    assert path.exists()


def test_links_are_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("")
    (tmp_path / f".a.{HERE}-99999999.tmp").symlink_to(tmp_path / "mine")
    sweep(tmp_path)
    assert (tmp_path / "mine" / "thesis").exists()


def test_without_locks_the_number_of_the_process_decides(tmp_path, other, monkeypatch):
    process = other("print('ready', flush=True); time.sleep(600)")
    monkeypatch.setattr(unfinished.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(37, "no locks")))
    alive, dead = (tmp_path / f".a.{HERE}-{number}.tmp" for number in (process.pid, 99999999))
    for path in (alive, dead):
        path.write_text("")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [alive.name]
    with temporary_folder(tmp_path / "b") as ours:
        sweep(tmp_path)
        assert ours.exists()


def test_discarded_folders_of_killed_processes_go(tmp_path):
    for name in (f".work.{HERE}-99999999.old", "work.discarded"):
        (tmp_path / name).mkdir()
    discard_folder(tmp_path / "work")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".mix.work.discarded").mkdir()
    sweep(tmp_path / ".mix.work")
    assert list(tmp_path.iterdir()) == []


def test_scratch_folders_that_nobody_has_locked_go(tmp_path, monkeypatch, other):
    monkeypatch.setattr(unfinished.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = """
sys.path.append(sys.argv[1])
from jail.launcher import _own_folder
with _own_folder():
    print("ready", flush=True)
    time.sleep(600)
"""
    process = other(code, Path(unfinished.__file__).parents[1] / "evaluation" / "code")
    (used,) = tmp_path.iterdir()
    for name in ("xmtf-unsafe-left", "of-others"):
        (tmp_path / name).mkdir()
    sweep_scratch("xmtf-unsafe-")
    assert {path.name for path in tmp_path.iterdir()} == {used.name, "of-others"}
    process.kill()
    process.wait()
    sweep_scratch("xmtf-unsafe-")
    assert [path.name for path in tmp_path.iterdir()] == ["of-others"]


def test_a_scratch_folder_of_a_killed_process_is_deleted_by_the_next(tmp_path, other, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process = other(
        "from xmtf.guards.unfinished import scratch_folder\n"
        "with scratch_folder('xmtf-look-'):\n    print('ready', flush=True)\n    time.sleep(600)"
    )
    (used,) = tmp_path.iterdir()
    with scratch_folder("xmtf-look-") as mine:
        assert set(tmp_path.iterdir()) == {used, mine}
    process.kill()
    process.wait()
    with scratch_folder("xmtf-look-") as mine:
        assert list(tmp_path.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == []


HOLDING = {
    "works in it": "from xmtf.guards.alone import alone_in as hold",
    "writes files into it": "from xmtf.guards.alone import alone_at as hold",
    "replaces it": "from functools import partial\nfrom xmtf.files import atomic_folder\n"
    "hold = partial(atomic_folder, alone=True)",
}
HOLD = """
with hold(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("first", HOLDING)
def test_one_writer_a_folder(tmp_path, other, first, monkeypatch):
    monkeypatch.setattr("xmtf.guards.alone._PATIENCE_S", 0.0)
    out = tmp_path / "out"
    process = other(HOLDING[first] + HOLD, out)

    def replacing(path):
        return atomic_folder(path, alone=True)

    for hold in (alone_in, alone_at, replacing):
        with pytest.raises(UserError, match=r"out: another xmtf process .*; wait for it, or"), hold(out):
            pass
        with hold(tmp_path / "out2"):
            pass
    process.kill()
    process.wait()
    for hold in (alone_in, alone_at, replacing):
        with hold(out):
            pass
    refuse_others(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out2"]


def test_a_lock_of_a_process_that_is_ending_is_waited_for(tmp_path, other):
    process = other(HOLDING["works in it"] + HOLD, tmp_path / "out")
    threading.Timer(0.2, process.kill).start()
    with alone_in(tmp_path / "out"):
        pass


def test_one_file_is_made_by_one_process(tmp_path):
    code = """
import sys, time
from pathlib import Path
from xmtf.guards.alone import in_turn
from xmtf.files import write_text
path = Path(sys.argv[1])
for number in range(20):
    with in_turn(path / str(number)):
        if not (path / str(number)).exists():
            time.sleep(0.01)
            with (path / "log").open("a") as log:
                log.write(f"{number}\\n")
            write_text(path / str(number), "")
"""
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(20))
    with in_turn(tmp_path / "0"):
        pass
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
