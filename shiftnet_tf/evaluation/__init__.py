"""Evaluation: measures of quality, other methods to compare with, and the table of both."""

from shiftnet_tf.evaluation.report import evaluate
from shiftnet_tf.evaluation.samples import Samples

__all__ = ["Samples", "evaluate"]
