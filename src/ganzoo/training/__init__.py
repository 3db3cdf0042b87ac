"""Training: two plain steps, and a trainer around them."""

import ganzoo.exports as _exports
from ganzoo.callbacks import Callback as Callback
from ganzoo.callbacks import Run as Run
from ganzoo.runs.folder import TrainingResult as TrainingResult
from ganzoo.training.callbacks.check import check_callback as check_callback
from ganzoo.training.step_functions import MicroBatch as MicroBatch
from ganzoo.training.step_functions import discriminator_step as discriminator_step
from ganzoo.training.step_functions import generator_step as generator_step
from ganzoo.training.trainer import Trainer as Trainer

_exports.without_submodules(globals())
