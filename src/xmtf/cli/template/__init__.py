"""``xmtf template``: its verbs, and how they print."""
