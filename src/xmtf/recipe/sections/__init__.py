"""The sections of a recipe that have modules of their own; ``schema.py`` puts them together."""
