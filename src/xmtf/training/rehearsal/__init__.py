"""A training rehearsed without weights: one process of many, its real code, tensors that are shapes alone."""
