"""Training: two plain steps, and a trainer around them."""

import types as _types
import typing as _typing

from ganzoo.callbacks import Callback as Callback
from ganzoo.callbacks import Run as Run
from ganzoo.runs.folder import TrainingResult as TrainingResult
from ganzoo.training.callbacks.check import check_callback as check_callback
from ganzoo.training.step_functions import MicroBatch as MicroBatch
from ganzoo.training.step_functions import discriminator_step as discriminator_step
from ganzoo.training.step_functions import generator_step as generator_step
from ganzoo.training.trainer import Trainer as Trainer

if not _typing.TYPE_CHECKING:  # a checker knows the names above, and would take this for an empty list
    __all__ = [  # `import *` brings no submodules
        name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _types.ModuleType))
    ]
