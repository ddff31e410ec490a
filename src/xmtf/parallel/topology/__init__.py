"""Which processes there are, and how a mesh of them is laid out: ranks, parallel dims, constraints, GPUs."""
