"""Every benchmark runs, at toy size; what it measures is of no account here."""

import os
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
OF_ANOTHER_ENVIRONMENT = {"mixture_peers.py"}  # promptsource's; bench/mixture.py --peers runs it there
SCRIPTS = sorted(path.name for path in BENCH.glob("*.py") if path.name not in {"apart.py", *OF_ANOTHER_ENVIRONMENT})


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_runs_at_toy_size(run_apart, script, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "XMTF_DATA_ROOT"}
    environment |= {"OMP_NUM_THREADS": "1", "XMTF_PROGRESS": "off", "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(BENCH / script), "--toy"]
    result = run_apart(command, forked=True, environment=environment)
    assert result.returncode == 0, result.stderr
    assert any(character.isdigit() for character in result.stdout), result.stdout
    assert "failed" not in result.stderr


def test_what_is_measured_in_a_new_process_prints_as_in_a_fork(run_apart):
    program = "import sys; print(sys.argv[1]); print('why', file=sys.stderr); sys.exit(3)"
    new, forked = (run_apart([sys.executable, "-c", program, "what"], forked=forked) for forked in (False, True))
    assert (new.returncode, new.stdout, new.stderr) == (3, "what\n", "why\n")
    assert (forked.returncode, forked.stdout, forked.stderr) == (3, "what\n", "why\n")
