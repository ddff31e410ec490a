"""The closed world that templates run in: what they may call, how much they may cost, and what is not text."""
