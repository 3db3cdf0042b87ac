"""Training: two plain steps, and a trainer around them."""

from ganzoo.training.run import TrainingResult
from ganzoo.training.steps import Part, discriminator_step, generator_step
from ganzoo.training.trainer import Trainer

__all__ = ["Part", "Trainer", "TrainingResult", "discriminator_step", "generator_step"]
