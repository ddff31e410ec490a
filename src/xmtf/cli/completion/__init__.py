"""Shell completion of verbs, options, recipes and keys, for bash, zsh and fish.

A shell asks by running ``xmtf`` with two environment variables, :data:`SHELL` and :data:`LINE`, and reads lines: the
first is ``files`` where names of files fit too, else ``-``; the others are candidates. The answer comes from an index
in the user's cache, since importing all verbs takes seconds.
"""

from __future__ import annotations

__all__ = ["BREAKS", "LINE", "SHELL"]

SHELL = "_XMTF_COMPLETE"
"""Variable with the shell that asks: ``bash``, ``zsh`` or ``fish``."""
LINE = "_XMTF_LINE"
"""Variable with the command line up to the cursor."""
BREAKS = "_XMTF_BREAKS"
"""Variable with the letters at which bash begins another word."""
