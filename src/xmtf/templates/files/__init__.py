"""Template files: read, changed in place, and gathered in collections."""
