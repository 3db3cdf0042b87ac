"""Training: two plain steps, and a trainer around them."""

from ganzoo.callbacks import Callback, Run
from ganzoo.runs.folder import TrainingResult
from ganzoo.training.callbacks.check import check_callback
from ganzoo.training.step_functions import MicroBatch, discriminator_step, generator_step
from ganzoo.training.trainer import Trainer

__all__ = [
    "Callback",
    "MicroBatch",
    "Run",
    "Trainer",
    "TrainingResult",
    "check_callback",
    "discriminator_step",
    "generator_step",
]
