"""From a batch to its loss: targets and their weights, the head at predicted positions, the objective."""
