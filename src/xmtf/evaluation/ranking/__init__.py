"""Rank classification: log-probabilities of answer choices, and which choice is best."""
