"""Where a model lies and how its weights are read and written."""
