"""Checkpoints that training resumes from, under any layout: written, checked, read, pruned."""
