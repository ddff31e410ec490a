"""The steps themselves: the loop, its stops, validation, log, trackers."""
