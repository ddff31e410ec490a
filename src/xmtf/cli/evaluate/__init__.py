"""``xmtf evaluate``: its verbs, and how they print."""
