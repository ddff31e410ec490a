"""From a source to prompts: compiled once, applied to a row or to whole columns."""
