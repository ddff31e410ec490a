"""What is in a corpus or a mixture: overlap with evaluation sets, languages, edit distances, code, taxonomy.

Every analysis reads as a stream, returns plain records (dicts with the same keys) and leaves tables as
CSV, which the figures of a report read.
"""

from __future__ import annotations

__all__: list[str] = []
