"""Finished mixtures, read and exported."""
