"""Results on disk: written, summed up, recomputed and compared."""
