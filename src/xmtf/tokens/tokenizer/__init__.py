"""Tokenizers: found, trained, and fast on whole words."""
