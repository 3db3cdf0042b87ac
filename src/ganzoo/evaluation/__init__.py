"""Honest measures of a generator: figures with their yardsticks, quality by class, memorisation."""

from ganzoo.evaluation.features import FEATURES, Features
from ganzoo.evaluation.metrics import METRICS, Score, better

__all__ = ["FEATURES", "METRICS", "Features", "Score", "better"]
