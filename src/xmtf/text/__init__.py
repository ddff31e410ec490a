"""Text in and out: files of it in any packing, JSON lines, tables for a terminal."""
