"""The language of a prompt: how it is known, what a translation says of itself, and what of a source is text."""
