"""The figures of the published work, one module each, with a user's own results in them."""
