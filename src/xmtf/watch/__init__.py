"""Runs in the browser while they are under way: read from their folders alone, which nothing here writes to."""
