"""Results of evaluations on disk: scores and items, each with one writer and one reader.

Evaluation writes these files and reports read them, so neither room has to know the other.
"""
