import pytest
from pydantic import BaseModel, ValidationError

from xmtf.recipe.quantities import Bytes, Seconds, Steps, Tokens, parse_quantity


class Quantities(BaseModel):
    steps: Steps = 0
    tokens: Tokens = 0
    seconds: Seconds = 0
    size: Bytes = 0


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("steps", "500 steps", 500), ("steps", 500, 500), ("tokens", "2.09e9 tokens", 2_090_000_000),
        ("tokens", "13_000", 13_000), ("seconds", "90 min", 5400.0), ("seconds", "1.5 h", 5400.0),
        ("size", "80 GB", 80 * 10**9), ("size", "4GiB", 4 * 2**30),
    ],
)  # fmt: skip
def test_quantities_are_read_in_their_unit(field, text, value):
    assert getattr(Quantities(**{field: text}), field) == value


@pytest.mark.parametrize(
    ("field", "text"),
    [("steps", "500 tokens"), ("tokens", "3 GB"), ("steps", "0.5 steps"), ("steps", -1), ("seconds", "soon")],
)
def test_another_kind_of_unit_is_refused(field, text):
    with pytest.raises(ValidationError):
        Quantities(**{field: text})


def test_the_error_lists_the_units():
    with pytest.raises(ValueError, match="valid units are step, steps"):
        parse_quantity("5 tokens", "steps")
