"""What page and server send one another, as types."""
