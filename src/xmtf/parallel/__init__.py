"""A model over several processes: which processes there are, and which piece of the model each of them holds."""
