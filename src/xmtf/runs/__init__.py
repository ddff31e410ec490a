"""A whole run: its stages in order, what they would replace, whether the folder holds what was written."""
