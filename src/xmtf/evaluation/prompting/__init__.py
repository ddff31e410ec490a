"""Models prompted by hand, one prompt at a time or a file of them."""
