"""Compare the rows of two mixtures; exit 1 where they differ.

python scripts/same_rows.py mixture other
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq


def main(first: Path, second: Path) -> int:
    """Print how many rows are the same, or the first file that differs."""
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*.parquet")) for folder in (first, second)]
    if files[0] != files[1] or not files[0]:
        print(f"{first} and {second} have other files: {set(map(str, files[0])) ^ set(map(str, files[1]))}")
        return 1
    rows = 0
    for name in files[0]:
        left, right = pq.read_table(first / name), pq.read_table(second / name)
        if not left.equals(right):
            print(f"{name}: the rows differ")
            return 1
        rows += left.num_rows
    print(f"{rows:,} rows in {len(files[0])} files, the same in both")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
