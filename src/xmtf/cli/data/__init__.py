"""``xmtf data``: its verbs, and how they print."""
