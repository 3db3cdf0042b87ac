"""What a registered network is: a module made from one config, which it keeps, and what a family of them may offer.

A custom network inherits `Generator` or `Discriminator`, has `config_class` (a `ganzoo.config.Config`), an `__init__`
that takes such a config and nothing else, and the attribute `config`. What tools need beyond `forward` is a method with
a default, "not offered": `config.resized(image_size)` for `--size`, `features` for the probe, `auxiliary_loss` for a
task beside telling real from fake, `first_layer` for directions, `prepared_for_sampling` for `precision="fast"`,
`matching_weights` and `counterpart` for fine-tuning. `check_model` tries all.
"""

from __future__ import annotations

import copy
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganzoo.config import Config
from ganzoo.errors import ConfigError, ShapeError, WeightsError, quote, shown
from ganzoo.registry import Registry
from ganzoo.seeds import Random


def _is_model(item: Any) -> bool:
    made_of = getattr(item, "config_class", None)
    is_class = isinstance(item, type) and issubclass(item, nn.Module)
    return is_class and isinstance(made_of, type) and issubclass(made_of, Config)


def config_of(network: nn.Module | None) -> Config | None:
    """The config that `network` is made of; None for a module without one."""
    config = getattr(network, "config", None)
    return config if isinstance(config, Config) and _is_model(type(network)) else None


MODELS: Registry[type[nn.Module]] = Registry(
    "model", "ganzoo.models", "a torch.nn.Module's class with config_class, a ganzoo.config.Config", _is_model
)
MOST_CLASSES = 10_000  # of a network: it is made of their number, which a stranger's file may give


class Network(nn.Module, ABC):
    """What both networks announce and offer.

    Args:
        config: what it is made of, whose `image_size` and `image_channels` it announces; None: it announces its own.

    Attributes:
        image_size: pixels a side of an image. image_channels: its channels.
        num_classes: 0 for a network without labels.
    """

    image_size: int
    image_channels: int
    num_classes: int = 0

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        if config is not None:
            self.config = config
            self.image_size, self.image_channels = config.image_size, config.image_channels

    def matching_weights(self, other: nn.Module) -> Mapping[str, Tensor]:
        """The weights of `other`, this network at another size or with other options, under this network's names.

        Fine-tuning keeps those whose name and shape fit. By default names stay as they are.
        """
        return other.state_dict()

    def counterpart(self) -> Network:
        """A fresh network of the other kind to train this one with, if a model was saved without.

        Raises:
            ConfigError: not offered; a family that has both kinds overrides this.
        """
        raise ConfigError(f"a {type(self).__name__} does not offer a counterpart; give the other network yourself")


class Generator(Network):
    """Latents (N, latent_size) to images (N, image_channels, image_size, image_size) in [-1, 1]."""

    latent_size: int

    @abstractmethod
    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of `latents`; `labels` (N,), int64, must be given if `num_classes` is not 0."""

    def check_latents(self, latents: Tensor) -> None:
        """Raise ShapeError unless `latents` are (N, latent_size), or of another shape of as many numbers."""
        if latents.shape[1:].numel() != self.latent_size:
            wanted = f"(N, {self.latent_size}) or (N, {self.latent_size}, 1, 1)"
            raise ShapeError(f"{type(self).__name__} wants latents of shape {wanted}, got {tuple(latents.shape)}.")

    def first_layer(self) -> Tensor:
        """The weight of the layer that takes the latents, (outputs, latent_size), for `ganzoo.latents.directions`.

        Raises:
            ConfigError: not offered; a subclass that has such a layer overrides this.
        """
        raise ConfigError(f"a {type(self).__name__} does not offer its first layer; a dcgan-generator does")

    def prepared_for_sampling(self) -> Generator:
        """A copy in eval mode, for sampling on the CPU: the same function, perhaps quicker. By default a plain copy."""
        return copy.deepcopy(self).eval()


class Discriminator(Network):
    """Images (N, image_channels, image_size, image_size) in [-1, 1] to one logit each.

    Attributes:
        takes_other_labels: whether `forward` takes other labels of the same images as a third argument, and gives the
            logits under them behind the first ones. If not, it is called twice, which takes longer.
    """

    takes_other_labels: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in vars(cls) and "takes_other_labels" not in vars(cls):  # what it inherits is said of another one
            cls.takes_other_labels = False

    @abstractmethod
    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """One logit an image: above 0 for real; `labels` (N,), int64, if `num_classes` is not 0."""

    def check_images(self, images: Tensor) -> None:
        """Raise ShapeError unless `images` are of the announced shape."""
        wanted = (self.image_channels, self.image_size, self.image_size)
        if images.dim() != 4 or tuple(images.shape[1:]) != wanted:
            raise ShapeError(f"{type(self).__name__} wants images (N, {str(wanted)[1:]}, got {tuple(images.shape)}.")

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps (N, C, h, w) of `images`, from the first stage to the last, for `ganzoo.explore.probe`.

        Raises:
            ConfigError: not offered; a subclass with feature maps overrides this.
        """
        raise ConfigError(f"a {type(self).__name__} does not offer features; a dcgan-discriminator does")

    def auxiliary_loss(self, images: Tensor, random: Random = None) -> Tensor | None:
        """A number to add to the discriminator's loss on real `images`, as of a task that it must also solve.

        `random` is a CPU generator of random numbers; None: torch's global one. By default None: nothing is added.
        """
        return None


def offers_auxiliary_loss(network: nn.Module) -> bool:
    """Whether `network` is a discriminator with an `auxiliary_loss` of its own."""
    return isinstance(network, Discriminator) and type(network).auxiliary_loss is not Discriminator.auxiliary_loss


def check_range(labels: Tensor, num_classes: int) -> None:
    """Raise ShapeError unless `labels` are 0 to `num_classes` - 1, if they are on the CPU.

    On another device the check would wait for that device; nor can a compiled graph branch on values.
    """
    if labels.device.type == "cpu" and labels.numel() and not torch.compiler.is_compiling():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= num_classes:
            raise ShapeError(f"Labels must be 0 to {num_classes - 1}, got {low if low < 0 else high}.")


def check_labels(labels: Tensor | None, count: int, num_classes: int, place: str) -> None:
    """Raise ShapeError unless `labels` is what a network of `num_classes` (0: none) wants for `count` rows.

    Their range is checked if that costs nothing: see `check_range`.
    """
    if num_classes == 0:
        if labels is not None:
            raise ShapeError(f"{place} was made without classes (num_classes=0) and takes no labels; leave them out.")
        return
    if labels is None:
        raise ShapeError(f"{place} has {num_classes} classes and wants labels of shape ({count},); pass labels=.")
    if labels.shape != (count,) or labels.dtype != torch.int64:
        shape = tuple(labels.shape)
        raise ShapeError(f"{place} wants labels of shape ({count},) and dtype int64, got {shape}, {labels.dtype}.")
    check_range(labels, num_classes)


def call_with(network: Callable[..., Tensor], inputs: Tensor, labels: Tensor | None) -> Tensor:
    """What `network` gives for `inputs`, and for `labels` if there are any."""
    return network(inputs) if labels is None else network(inputs, labels)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for the length of a `with` block; every submodule's mode comes back."""
    training, found = [], [network]
    for module in found:  # grows; a quarter of the time of `modules()`, which counts for one image
        if module.training:
            training.append(module)
        found += [each for each in module._modules.values() if each is not None]
    if training:
        network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradient of the weights of `network` for the length of a `with` block."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def unwrapped(network: nn.Module) -> nn.Module:
    """`network` itself, without what torch.compile, DataParallel or DistributedDataParallel put around it.

    Such a wrapper would put its own name before that of every saved weight. `network.compile()` compiles in place.
    """
    dynamo = sys.modules.get("torch._dynamo")  # takes a second to import; what is not imported has wrapped nothing
    while True:
        if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            network = network.module
        elif dynamo is not None and isinstance(network, dynamo.OptimizedModule):
            network = network._orig_mod
        else:
            return network


def plain_name(name: str) -> str:
    """The name of a weight without those of the wrappers that `unwrapped` takes off."""
    return re.sub(r"^(_orig_mod\.|module\.)+", "", name)


def parameter_count(network: nn.Module) -> int:
    """How many numbers `network` has learned or will learn; a frozen part counts too."""
    return sum(parameter.numel() for parameter in network.parameters())


class _Undrawn(TorchFunctionMode):
    """Zeros in place of random starts, for a network that is about to be filled.

    It saves their time, leaves torch's random state alone, and without memory torch would import its compiler for them.
    """

    _DRAWS = (nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_, Tensor.uniform_, Tensor.normal_)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in self._DRAWS:
            return func(*args, **(kwargs or {}))
        with torch.no_grad():
            return (args[0] if args else kwargs["tensor"]).zero_()


def build_like_file(model: str, config: Any, shapes: Mapping[str, tuple[int, ...]], place: str) -> nn.Module:
    """The network `model` of `config`, float32 on the CPU, made only once its weights are known to have the file's
    `shapes`.

    The network is first made without memory (on the meta device), so that a config asking for more than its
    weights file holds costs nothing.

    Raises:
        WeightsError: names of the missing, surplus and misshapen weights, at `place`.
    """
    check_like_file(model, config, shapes, place)
    with torch.device("cpu"), _Undrawn():
        return MODELS[model](config).float()


def check_like_file(model: str, config: Any, shapes: Mapping[str, tuple[int, ...]], place: str) -> Mapping[str, Tensor]:
    """The state that the network `model` of `config` has, without memory; WeightsError, at `place`, unless it has the
    file's `shapes`."""
    network_class = MODELS[model]
    try:
        with torch.device("meta"), _Undrawn():
            wanted: Mapping[str, Tensor] = network_class(config).state_dict()
    except (RuntimeError, NotImplementedError) as error:  # of torch, if a number is asked of a tensor that has none
        raise WeightsError(
            f"{place}: a {model} can't be made without memory ({quote(str(error), 200)}), as loading does first; "
            f"its __init__ must take no number out of a tensor, as .item() does."
        ) from error
    check_fits(wanted, shapes, place)
    return wanted


def check_fits(wanted: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], place: str) -> None:
    """Raise WeightsError, naming what differs, unless the file at `place` has the names and `shapes` of `wanted`."""
    problems = [f"{name} is missing" for name in wanted if name not in shapes]
    problems += [f"{shown(name)} is surplus" for name in shapes if name not in wanted]
    problems += [
        f"{name} has shape {shapes[name]}, its config wants {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in shapes and shapes[name] != tuple(value.shape)
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(f"{place} does not fit its config: {'; '.join(problems[:3])}{more}. Save the model again.")
