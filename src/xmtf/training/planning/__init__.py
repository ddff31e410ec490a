"""What a training will need, from shapes alone: memory, time, and the best layout."""
