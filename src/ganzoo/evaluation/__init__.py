"""Measures of a generator: figures with their references, quality by class, memorisation."""

import types as _types
import typing as _typing

from ganzoo.evaluation.features import FEATURES as FEATURES
from ganzoo.evaluation.features import Features as Features
from ganzoo.evaluation.metrics import METRICS as METRICS
from ganzoo.evaluation.metrics import Score as Score
from ganzoo.evaluation.metrics import better as better

if not _typing.TYPE_CHECKING:  # a checker knows the names above, and would take this for an empty list
    __all__ = [  # `import *` brings no submodules
        name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _types.ModuleType))
    ]
