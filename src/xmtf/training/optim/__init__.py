"""Optimizers, their state by name, and the learning rate of every step."""
