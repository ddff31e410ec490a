"""``xmtf plan``: its verbs, and how they print."""
