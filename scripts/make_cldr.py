"""Write src/xmtf/sources/cldr/rows.zip: the rows of the datasets `cldr/<name>`, from the CLDR data in babel.

    python scripts/make_cldr.py

The rows follow the release of babel: another one has other names, languages and dates, and every result on
the demo's tasks changes with them. Take a new release on purpose: change the pin of babel in the extra `dev`,
run this, and run the demo anew.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import babel
from babel.core import get_cldr_version

from cldr_rows import BUILDERS, FEWEST_ROWS
from cldr_rows.draw import split_rows
from cldr_rows.locales import known_languages, language_data
from xmtf.sources.cldr import CLDR_ROWS, MADE_FROM, ORIGIN_COLUMNS

LICENSE = Path(babel.__file__).parent / "locale-data" / "LICENSE.unicode"
ALWAYS = (1980, 1, 1, 0, 0, 0)
"""The date of every member, so that the same rows are the same bytes."""


def main() -> None:
    """Write the file anew, and its licence beside it."""
    write_rows(CLDR_ROWS)
    shutil.copyfile(LICENSE, CLDR_ROWS.with_name("LICENSE"))
    print(f"{CLDR_ROWS}: {CLDR_ROWS.stat().st_size / 1e6:.2f} MB, babel {metadata.version('babel')}")


def write_rows(path: Path) -> None:
    """Write every dataset, what it was made from, and its licence."""
    made = {"babel": metadata.version("babel"), "cldr": str(get_cldr_version()), "languages": sorted(known_languages())}
    members = {MADE_FROM: json.dumps(made, indent=2) + "\n", "LICENSE": LICENSE.read_text(encoding="utf-8")}
    for name in sorted(BUILDERS):
        members[f"cldr/{name}.json"] = json.dumps(columns(name), ensure_ascii=False, separators=(",", ":"))
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_LZMA) as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member, ALWAYS), text, compress_type=zipfile.ZIP_LZMA)


def columns(name: str) -> dict[str, list[Any]]:
    """Return a dataset, all languages and splits under each other, as columns."""
    found: dict[str, list[Any]] = {column: [] for column in ORIGIN_COLUMNS}
    for code in sorted(known_languages()):
        tables = split_rows(BUILDERS[name](language_data(code)))
        if any(table.num_rows < FEWEST_ROWS for table in tables.values()):
            continue
        for split, table in tables.items():
            rows = {"subset": [code] * table.num_rows, "split": [split] * table.num_rows, **table.to_pydict()}
            for column, values in rows.items():
                found.setdefault(column, []).extend(values)
    return found


if __name__ == "__main__":
    main()
