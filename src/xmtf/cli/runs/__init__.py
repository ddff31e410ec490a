"""Verbs of whole runs: carry one out, train alone, launch it elsewhere, watch, verify and copy it."""
