"""One process of many without the others: a fake group, and operations counted as they are dispatched."""
