"""GGUF files: what is in their header, read without loading weights."""
