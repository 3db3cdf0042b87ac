"""Parts of a training method that keep numbers from step to step, which checkpoints must hold."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from torch import Tensor

from ganzoo.errors import PluginError, quote, words_of


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
            real_sign: mean sign of the discriminator's logits for real images in the step's last update, -1 to 1; of
                their differences to those of fakes if the loss sees only differences (`Loss.undecided_at_zero`).
            images: how many real images the discriminator saw in the step, over all processes.
            mean: gives the mean of a tensor over all processes.
        """

    def figures(self) -> dict[str, float]:
        """Numbers for the log, by name."""
        return {}


NOT_REPEATED = "gives other values in a second call: draw from `random`, and keep state in a Stateful"
SERVES = "a function, or a class of such; one with state_dict is derived from ganzoo.stateful.Stateful"
NAMED = f"{SERVES}, and its class is registered, so that each run has an object of its own"


def serves(item: Any) -> bool:
    """Whether `item` is as `SERVES` says: state outside a `Stateful` would not be saved with a run."""
    kind = item if inspect.isclass(item) else type(item)
    return callable(item) and (issubclass(kind, Stateful) or "state_dict" not in dir(kind))


def can_be_named(item: Any) -> bool:
    """Whether `item` is as `NAMED` says: runs would share the state of an object."""
    return serves(item) and not isinstance(item, Stateful)


class _HasState(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def json_state(part: _HasState, place: str) -> dict[str, Any]:
    """The state of `part`, as JSON brings it back; `place` begins a message.

    Raises:
        PluginError: it can't be had, or is not a dict of JSON types.
    """
    try:
        state = part.state_dict()
        text = json.dumps(state, allow_nan=False)
    except Exception as error:
        raise PluginError(f"{place}: its state_dict can't be saved as JSON ({words_of(error)})") from error
    restored = json.loads(text)
    if not isinstance(state, dict) or restored != state:
        raise PluginError(
            f"{place}: its state_dict must be a dict of JSON types (texts as keys, lists, no tuples), "
            f"got {quote(state, 200)}"
        )
    return dict(restored)


def check_loaded(part: _HasState, state: dict[str, Any], place: str) -> None:
    """Raise PluginError, which begins with `place`, unless `part` has the `state` that it was just given."""
    if (found := json_state(part, place)) != state:
        name = next(name for name in {**state, **found} if {name: found.get(name, ...)} != {name: state.get(name, ...)})
        raise PluginError(
            f"{place}: load_state_dict must restore what state_dict gave; {quote(name)} is "
            f"{quote(found.get(name, 'missing'))}, and was {quote(state.get(name, 'missing'))}"
        )


def check_restored(part: Stateful, place: str) -> None:
    """Raise PluginError unless `part`, after one step more, can be brought back to its state before that step."""
    before = json_state(part, place)
    try:
        part.end_step(0.5, 8, lambda values: values)
        json_state(part, place)  # can be saved too
        part.load_state_dict(before)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{place}: end_step or load_state_dict fails ({words_of(error)})") from error
    check_loaded(part, before, place)
