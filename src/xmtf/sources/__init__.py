"""Where raw rows come from: the user's files, CLDR, a local mirror, the hub; with per-dataset adapters."""

from xmtf.sources.read import fingerprint_source, read_source
from xmtf.sources.reference import SourceData, SourceRef

__all__ = ["SourceData", "SourceRef", "fingerprint_source", "read_source"]
