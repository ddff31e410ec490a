"""Templates rendered and checked for the server in a separate process, under limits."""
