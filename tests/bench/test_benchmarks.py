"""Every benchmark runs, at toy size; what it measures is of no account here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
OF_ANOTHER_ENVIRONMENT = {"mixture_peers.py"}  # promptsource's; bench/mixture.py --peers runs it there
SCRIPTS = sorted(path.name for path in BENCH.glob("*.py") if path.name not in OF_ANOTHER_ENVIRONMENT)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_runs_at_toy_size(script, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "XMTF_DATA_ROOT"}
    result = subprocess.run(
        [sys.executable, str(BENCH / script), "--toy"],
        capture_output=True,
        text=True,
        cwd=BENCH.parent,
        env=environment | {"OMP_NUM_THREADS": "1", "XMTF_PROGRESS": "off", "TMPDIR": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    assert any(character.isdigit() for character in result.stdout), result.stdout
    assert "failed" not in result.stderr
