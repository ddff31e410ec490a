"""Code evaluation: programs that a model writes, run in a sandbox, and pass@k."""
