"""Figures, one module each: ``draw(...)`` returns a matplotlib figure in the common style."""
