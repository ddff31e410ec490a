"""Texts of which nothing is seen: of white space, controls and marks without a glyph alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["blank_texts"]

_WITHOUT_GLYPH = (
    r"\x{00ad}\x{034f}\x{061c}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{200b}-\x{200f}\x{202a}-\x{202e}"
    r"\x{2060}-\x{206f}\x{2800}\x{3164}\x{fe00}-\x{fe0f}\x{feff}\x{ffa0}\x{fff0}-\x{fffb}\x{1bca0}-\x{1bca3}"
    r"\x{1d173}-\x{1d17a}\x{e0000}-\x{e0fff}"
)
"""Unicode's default-ignorable characters (soft hyphen, zero-width space and joiners, directions, byte order mark,
variation selectors, tags), annotation marks and the empty Braille pattern."""

_SEEN = rf"[^\s\p{{Z}}\p{{Cc}}{_WITHOUT_GLYPH}]"


def blank_texts(texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    r"""Return which texts have no character that is seen, bool ``[rows]``; nulls have none.

    >>> blank_texts(pa.array(["a", " \u200b", "", None, "\u00ad\ufeff\u200f", "\u0600"])).tolist()
    [False, True, True, True, True, False]
    """
    seen = pc.fill_null(pc.match_substring_regex(texts, _SEEN), False)
    return ~np.asarray(seen, dtype=bool)
