"""A training cut over the processes of a mesh: layout, gradients, sharded optimizers, pipelines."""
