"""Templates rendered and checked for the server in a process of their own, under limits."""
