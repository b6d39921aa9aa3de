"""Sounds: recordings of machines, birds, voices, keywords."""
