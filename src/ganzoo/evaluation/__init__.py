"""Honest measures of a generator: figures with their yardsticks, quality by class, memorisation."""

from ganzoo.evaluation.features import FEATURES as FEATURES
from ganzoo.evaluation.features import Features as Features
from ganzoo.evaluation.metrics import METRICS as METRICS
from ganzoo.evaluation.metrics import Score as Score
from ganzoo.evaluation.metrics import better as better
