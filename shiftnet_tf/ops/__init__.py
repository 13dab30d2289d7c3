"""Tensor functions without weights, which layers, networks and losses are built from."""
