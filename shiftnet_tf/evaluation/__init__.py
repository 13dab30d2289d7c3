"""Evaluation: measures of quality, other methods to compare with, and the table of both."""
