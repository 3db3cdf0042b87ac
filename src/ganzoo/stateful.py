"""Parts of a training method that keep numbers from step to step, which checkpoints must hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor


class Stateful:
    """Base of a penalty or augmentation with state; one without state is a plain function.

    Attributes:
        in_graph: whether all that changes from step to step reaches its tensors by `ganzoo.seeds.number`, so that a
            CUDA graph of the step stays right.
    """

    in_graph: ClassVar[bool] = False

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON types."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; ValueError or KeyError if it can't be that."""
        if state.keys() != self.state_dict().keys():
            raise ValueError(f"holds {sorted(state)}, not {sorted(self.state_dict())}")

    def end_step(self, real_sign: float, images: int, mean: Callable[[Tensor], Tensor]) -> None:
        """Called after each step, on every process with the same numbers.

        Args:
            real_sign: mean sign of the discriminator's logits for real images in the step's last update, -1 to 1.
            images: how many real images the discriminator saw in the step, over all processes.
            mean: gives the mean of a tensor over all processes.
        """

    def figures(self) -> dict[str, float]:
        """Numbers for the log, by name."""
        return {}


SERVES = "a function, or a class of such; one with state_dict is derived from ganzoo.stateful.Stateful"


def serves(item: Any) -> bool:
    """Whether `item` is as `SERVES` says: state outside a `Stateful` would not be saved with a run."""
    kind = item if inspect.isclass(item) else type(item)
    return callable(item) and (issubclass(kind, Stateful) or "state_dict" not in dir(kind))
