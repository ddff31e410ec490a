"""Results on disk: written, summed up, computed anew and compared."""
