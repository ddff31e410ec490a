"""Evaluations side by side: which results there are, how they differ, and what is next to each value."""
