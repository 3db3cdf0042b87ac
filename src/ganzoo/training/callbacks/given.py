"""The callbacks that a run was given: called in order, their failures caught, their states saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ganzoo.callbacks import CALLBACKS, Callback, Run
from ganzoo.errors import ConfigError, PluginError, TrainingError, WeightsError, quote, words_of
from ganzoo.settings import Settings
from ganzoo.stateful import json_state


class GivenCallbacks:
    """Those that the settings name, then objects given by hand.

    Args:
        objects: each one is recorded by the name of its class.
    """

    def __init__(self, settings: Settings, objects: Sequence[Callback]) -> None:
        self._named = [(text, CALLBACKS.make(text, "callbacks")) for text in settings.callbacks]
        self._named += [(type(each).__name__, each) for each in objects]
        self.by_hand = [type(each).__name__ for each in objects]
        self.error: BaseException | None = None

    def __bool__(self) -> bool:
        return bool(self._named)

    def call(self, run: Run, call: Callable[[Callback], None]) -> None:
        """Make `call` on each; the first failure becomes a request, which all processes hear of."""
        for name, callback in self._named:
            try:
                call(callback)
            except (Exception, SystemExit) as error:
                if run.requests.failure is None:
                    self.error = error
                    run.requests.failure = f"callback {name} fails at step {run.step} ({words_of(error)})"

    def state(self) -> list[dict[str, Any]]:
        """Name and state of each, as JSON types; PluginError if that can't be had."""
        return [{"name": name, "state": json_state(callback, f"callback {name}")} for name, callback in self._named]

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Bring each to what `state` gave.

        Raises:
            WeightsError: the states are of other callbacks. PluginError: one can't take its state.
        """
        if [each.get("name") for each in states] != [name for name, _ in self._named]:
            raise WeightsError(f"the checkpoint holds the state of other callbacks: {quote(states, 200)}")
        for (name, callback), saved in zip(self._named, states):
            try:
                callback.load_state_dict(saved["state"])
            except Exception as error:
                raise PluginError(
                    f"callback {name} can't go on from the state in its checkpoint ({words_of(error)})"
                ) from error


def split_callbacks(given: Sequence[str | Callback]) -> tuple[tuple[str, ...], list[Callback]]:
    """The names among `given`, and the objects.

    Raises:
        ConfigError: something else is among them, or an object stands there twice.
    """
    if isinstance(given, (str, Callback, type)) or not isinstance(given, Iterable):
        raise ConfigError(f"callbacks must be a list of names and objects, got {quote(given)} alone")
    for each in given:
        if not isinstance(each, (str, Callback)):
            raise ConfigError(
                f"callbacks: {quote(each)} must be a name or an object of a subclass of Callback "
                "(from ganzoo.training import Callback)"
            )
    objects = [each for each in given if isinstance(each, Callback)]
    if len(set(map(id, objects))) < len(objects):
        raise ConfigError("callbacks: an object stands there twice; once is enough")
    return tuple(each for each in given if isinstance(each, str)), objects


def compare_callbacks(
    given: Sequence[str | Callback], facts: dict[str, Any], run: str, settings: Settings
) -> list[Callback]:
    """The objects among `given`.

    Raises:
        TrainingError: they are not of the classes that the record of `run` names, in their order, or names stand among
            them and are not those of its `settings`.
    """
    texts, objects = split_callbacks(given)
    if texts and texts != settings.callbacks:
        raise TrainingError(
            f"callbacks: {run} was begun with {', '.join(settings.callbacks) or 'none by name'}; a resumed run makes "
            f"those itself, so pass objects alone"
        )
    recorded = facts.get("callbacks")
    names = [str(name) for name in recorded] if isinstance(recorded, list) else []
    classes = [type(each).__name__ for each in objects]
    if classes != names:
        begun = f"the callback{'s' * (len(names) > 1)} {', '.join(names)}" if names else "no callbacks"
        wanted = f"callbacks=[{', '.join(f'{name}(...)' for name in names)}]" if names else "no callbacks"
        raise TrainingError(
            f"{run} was begun with {begun} given by hand, this has {', '.join(classes) or 'none'}; pass them as then: "
            f"ganzoo.Trainer.resume({run!r}, {wanted})"
        )
    return objects
