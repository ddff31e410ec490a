"""Token files in Megatron's format: items, their index, the names of files."""
