"""Reading ahead."""

import threading
from collections.abc import Iterator

import pytest

from xmtf.tokens.prefetch import prefetch


@pytest.mark.parametrize("ahead", [0, 1, 8])
def test_order_is_kept(ahead: int) -> None:
    assert list(prefetch(iter(range(50)), ahead)) == list(range(50))


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    reader = prefetch(items(), 2)
    assert next(reader) == 1
    with pytest.raises(KeyError, match="broken"):
        next(reader)


def test_leaving_early_ends_the_thread() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 0

    reader = prefetch(endless(), 2)
    next(reader)
    assert any(thread.name == "xmtf-prefetch" for thread in threading.enumerate())
    reader.close()  # type: ignore[attr-defined]  # a generator
    assert not any(thread.name == "xmtf-prefetch" for thread in threading.enumerate())
