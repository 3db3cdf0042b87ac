"""Honest measures of a generator: figures with their yardsticks, quality by class, memorisation."""

import types as _types

from ganzoo.evaluation.features import FEATURES as FEATURES
from ganzoo.evaluation.features import Features as Features
from ganzoo.evaluation.metrics import METRICS as METRICS
from ganzoo.evaluation.metrics import Score as Score
from ganzoo.evaluation.metrics import better as better

__all__ = [  # `import *` brings no submodules
    name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _types.ModuleType))
]
