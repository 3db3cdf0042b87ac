"""Does a callback of your own keep the contract?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ganzoo.callbacks import CALLBACKS, Callback, Requests, Run
from ganzoo.errors import PluginError, quote, words_of
from ganzoo.gan import GAN
from ganzoo.seeds import seeded
from ganzoo.settings import Settings
from ganzoo.stateful import check_loaded, json_state


def check_callback(factory: str | Callable[..., Callback], settings: Settings | None = None, steps: int = 3) -> None:
    """Check that a callback keeps the contract: call it as a training of `steps` steps would, and stop and resume it.

    Args:
        factory: a registered name with or without options, or what makes a callback.
        settings: None: the defaults.

    Raises:
        ConfigError, PluginError: what fails, and where.
    """
    place = f"callback {factory if isinstance(factory, str) else getattr(factory, '__name__', 'given')}"
    make = (lambda: CALLBACKS.make(factory)) if isinstance(factory, str) else factory
    if not callable(make):
        raise PluginError(f"{place} must be a name, or what makes a Callback, got {quote(factory)}")
    first, second = make(), make()
    if not isinstance(first, Callback) or first is second:
        raise PluginError(f"{place}: each call must make a new ganzoo.training.Callback, got {quote(first)}")
    run = _dry_run(settings or Settings())
    _call(place, first.on_start, run)
    for step in range(1, steps + 1):
        run.step = step
        _call(place, first.on_step, run)
        _call(place, first.on_log, run, {"step": step, "discriminator_loss": 1.4, "generator_loss": 0.7})
        _call(place, first.on_log, run, {"step": step, "score": 1.0 / step, "best": True})
    state = json_state(first, place)
    _call(place, second.load_state_dict, state)
    check_loaded(second, state, place)
    lost = make()
    for each in (first, second, lost):  # as in a run that goes on
        _call(place, each.on_start, run)
    if state != json_state(second, place) == json_state(lost, place):
        raise PluginError(f"{place}: on_start throws away the state of a run that goes on; set it in __init__")
    run.step += 1
    seen = []
    for each in (first, second):
        run.requests, run.logged = Requests(), {}
        _call(place, each.on_step, run)
        seen.append((run.requests, run.logged, json_state(each, place)))
    if seen[0] != seen[1]:
        raise PluginError(
            f"{place}: resumed from its state it goes on otherwise than without a stop; keep in state_dict "
            f"all that on_step changes"
        )
    _call(place, first.on_end, run)


def _call(place: str, method: Callable[..., None], *arguments: Any) -> None:
    try:
        method(*arguments)
    except Exception as error:
        raise PluginError(f"{place}: {method.__name__} fails ({words_of(error)})") from error


def _dry_run(settings: Settings) -> Run:
    """A run that trains nothing, on the smallest networks."""
    with seeded(0):
        generator = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
        gan = GAN(generator, nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), latent_size=4)
    return Run(gan, gan, settings)
