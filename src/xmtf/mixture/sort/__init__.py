"""From rendered shards to parts in one order: runs, duplicates, samples, merging."""
