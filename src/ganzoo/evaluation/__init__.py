"""Measures of a generator: figures with their references, quality by class, memorisation."""

import ganzoo.exports as _exports
from ganzoo.evaluation.evaluate import evaluate as evaluate  # the name is the function's, no more the submodule's
from ganzoo.evaluation.features import FEATURES as FEATURES
from ganzoo.evaluation.features import Features as Features
from ganzoo.evaluation.metrics import METRICS as METRICS
from ganzoo.evaluation.metrics import Score as Score
from ganzoo.evaluation.metrics import better as better

_exports.without_submodules(globals())
