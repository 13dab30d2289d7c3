"""Tensor functions without weights, used by layers, networks and losses."""
