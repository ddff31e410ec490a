"""A model cut over the processes of a mesh: pieces, sharded tables, tensor and pipeline parallelism."""
