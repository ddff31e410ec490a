"""GGUF files: what stands in their header, read without loading weights."""
