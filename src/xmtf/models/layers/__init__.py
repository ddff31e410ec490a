"""What the layers of our own models share: attention, caches, token trees, tied embeddings."""
