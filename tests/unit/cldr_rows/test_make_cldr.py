"""The rows that the package ships are those that the script makes of the release of babel that they name."""

import zipfile
from importlib import metadata

import pytest

from cldr_rows import BUILDERS
from xmtf.sources.cldr import CLDR_ROWS, cldr_datasets, cldr_release


def test_every_dataset_is_shipped_with_its_licence():
    assert cldr_datasets() == tuple(f"cldr/{name}" for name in sorted(BUILDERS))
    with zipfile.ZipFile(CLDR_ROWS) as archive:
        licence = archive.read("LICENSE").decode()
    assert licence == CLDR_ROWS.with_name("LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("UNICODE LICENSE V3")


def test_the_script_makes_the_members_that_are_shipped(tmp_path):
    installed, wanted = metadata.version("babel"), cldr_release().babel
    if installed != wanted:
        pytest.skip(f"the rows are of babel {wanted}, and {installed} is installed")
    from make_cldr import write_rows

    made = tmp_path / "rows.zip"
    write_rows(made)
    with zipfile.ZipFile(made) as ours, zipfile.ZipFile(CLDR_ROWS) as shipped:
        assert ours.namelist() == shipped.namelist()
        differing = [name for name in ours.namelist() if ours.read(name) != shipped.read(name)]
    assert not differing
