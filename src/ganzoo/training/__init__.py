"""Training: two plain steps, and a trainer around them."""

from ganzoo.runs.folder import TrainingResult
from ganzoo.training.step_functions import MicroBatch, discriminator_step, generator_step
from ganzoo.training.trainer import Trainer

__all__ = ["MicroBatch", "Trainer", "TrainingResult", "discriminator_step", "generator_step"]
