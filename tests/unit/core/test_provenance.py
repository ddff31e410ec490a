import pyarrow as pa
import pytest

from xmtf.provenance import group_rows
from xmtf.records import PROVENANCE_COLUMNS


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize(
    ("languages", "templates", "groups", "of_rows"),
    [
        (["fr", "fr"], ["a", "a"], [("fr", "a")], [0, 0]),
        (["fr", None], ["a", "a"], [("fr", "a"), (None, "a")], [0, 1]),
        ([None, "fr"], ["a", "a"], [(None, "a"), ("fr", "a")], [0, 1]),
        ([None, None], ["a", "a"], [(None, "a")], [0, 0]),
        (
            ["fr", None, None, "fr"],
            ["a", "a", "b", "b"],
            [("fr", "a"), (None, "a"), (None, "b"), ("fr", "b")],
            range(4),
        ),
        ([], [], [], []),
    ],
)
def test_a_null_is_a_value_of_its_own(encoded, languages, templates, groups, of_rows):
    columns = {name: pa.array(["same"] * len(languages), pa.string()) for name in PROVENANCE_COLUMNS}
    columns |= {"language": pa.array(languages, pa.string()), "template": pa.array(templates, pa.string())}
    if encoded:
        columns = {name: column.dictionary_encode() for name, column in columns.items()}
    whole = pa.table(columns)
    in_chunks = pa.concat_tables([whole.slice(0, 1), whole.slice(1)]) if languages and not encoded else whole
    for table in (whole, in_chunks):
        found, numbers = group_rows(table)
        assert [(group.language, group.template) for group in found] == groups
        assert numbers.tolist() == list(of_rows)
