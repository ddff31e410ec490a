"""What verbs share: their options, and how they print for people and programs."""
