"""Optimizers by name."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.errors import ConfigError, did_you_mean, quote, words_of
from ganzoo.schedules import make_schedule
from ganzoo.settings import Settings

_TORCH: dict[str, tuple[type[Optimizer], str]] = {  # with the option that takes the decays of moments
    "adam": (torch.optim.Adam, "betas"),
    "adamw": (torch.optim.AdamW, "betas"),
    "nadam": (torch.optim.NAdam, "betas"),
    "rmsprop": (torch.optim.RMSprop, "alpha"),
    "sgd": (torch.optim.SGD, "momentum"),
}
CAPTURABLE = ("adam", "adamw")  # of which learning rates may be numbers on the device; they have fused kernels too


class ScheduledAdam(torch.optim.Adam):
    """Adam whose beta2 follows a schedule. A CUDA graph would repeat a fixed beta2, so it may lie on the device."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Adam (Kingma & Ba 2015, algorithm 1). If beta2 (float64) and the learning rate are tensors on the device, an
        earlier step must have made the state."""
        if not isinstance(self.param_groups[0]["betas"][1], Tensor):
            return super().step(closure)
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            parameters = [each for each in group["params"] if each.grad is not None]
            gradients = [each.grad for each in parameters]
            steps, means, squares = (
                [self.state[each][name] for each in parameters] for name in ("step", "exp_avg", "exp_avg_sq")
            )
            torch._foreach_add_(steps, 1.0)
            # m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2. Near beta2 = 1, 1 - beta2 loses digits in
            # float32.
            torch._foreach_lerp_(means, gradients, 1 - beta1)
            torch._foreach_mul_(squares, beta2.float())
            news = torch._foreach_mul(torch._foreach_mul(gradients, gradients), (1 - beta2).float())
            torch._foreach_add_(squares, news)
            # w <- w - rate m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps); weights may differ in their steps t
            roots = torch._foreach_sqrt(squares)
            torch._foreach_div_(roots, [(1 - beta2**each).sqrt().float() for each in steps])
            torch._foreach_add_(roots, group["eps"])
            moves = torch._foreach_div(means, roots)
            torch._foreach_mul_(moves, [group["lr"] / (1 - beta1**each) for each in steps])
            torch._foreach_sub_(parameters, moves)


def make_optimizer(network: nn.Module, learning_rate: float, settings: Settings) -> Optimizer:
    """The optimizer `settings.optimizer` for `network`: torch's by these names, else timm's by its own.

    Raises:
        ConfigError: neither knows the name.
    """
    name, parameters = settings.optimizer, [each for each in network.parameters() if each.requires_grad]
    beta2 = make_schedule(settings.beta2, "beta2")(0, settings.steps)
    decays = {"betas": (settings.beta1, beta2), "alpha": beta2, "momentum": settings.beta1}
    if name not in _TORCH:
        return _timm_optimizer(network, name, learning_rate, decays["betas"])
    make, option = _TORCH[name]
    options: dict[str, Any] = {"lr": learning_rate, option: decays[option]}
    on_known = all(each.device.type in ("cpu", "cuda") for each in parameters)
    if settings.speed == "auto" and name in CAPTURABLE and on_known:
        options["fused"] = True
    if name == "adam" and isinstance(settings.beta2, str):
        make = ScheduledAdam
    return make(parameters, **options)


def _timm_optimizer(network: nn.Module, name: str, learning_rate: float, betas: Any) -> Optimizer:
    import timm.optim

    known = [str(each) for each in timm.optim.list_optimizers()]
    if name not in known:
        raise ConfigError(f"optimizer {quote(name)} is unknown.{did_you_mean(name, [*_TORCH, *known])}")
    options: dict[str, Any] = {"lr": learning_rate, "weight_decay": 0.0}
    if timm.optim.get_optimizer_info(name).has_betas:
        options["betas"] = betas
    try:  # some want other betas, a package, a GPU or second derivatives, or keep what JSON can't hold
        _try(timm.optim.create_optimizer_v2(probe := nn.Conv2d(2, 2, 3), name, **options), probe)
    except Exception as error:
        raise ConfigError(f"optimizer {quote(name)} can't be used here ({words_of(error)}); take another") from error
    made = timm.optim.create_optimizer_v2(network, name, **options)
    if name.startswith("rmsprop"):  # alpha is beta2, as of torch's; elsewhere it means other things
        for group in made.param_groups:
            group["alpha"] = betas[1]
    return made


def _try(optimizer: Optimizer, network: nn.Module) -> None:
    """Make one step, and see that a checkpoint can hold what it leaves."""
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    values = optimizer.state_dict()
    kept = [*values["state"].values(), *({**group, "params": None} for group in values["param_groups"])]
    json.dumps([value for each in kept for value in each.values() if not isinstance(value, Tensor)])
