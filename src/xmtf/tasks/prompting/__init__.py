"""From the rows of a split to prompted examples: which rows make them, and why the others do not."""
