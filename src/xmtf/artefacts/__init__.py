"""Folders that stages write: what is in them, whose they are, and whether they are as they were written."""
