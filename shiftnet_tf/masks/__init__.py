"""Masks: the shapes that a network is trained on, mask files, and shapes given as JSON."""
