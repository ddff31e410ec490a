"""Files of rows as people keep them: unpacked, cut into records, and given types."""
