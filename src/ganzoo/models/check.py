"""Does a registered network keep `models/contract.py`? Every promise is one function that raises if it is broken."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ganzoo.blocks.promises import Promises
from ganzoo.config import Config
from ganzoo.errors import ConfigError, ModelError, ShapeError, quote
from ganzoo.models.contract import MODELS, Discriminator, Generator, Network
from ganzoo.models.onnx import largest_difference, run_onnx, to_onnx
from ganzoo.seeds import seeded

CLASSES = 3  # of the conditional form that is tried
COUNT = 4  # rows of a batch


def check_model(name: str, config: Config | None = None, *, onnx: bool = False) -> None:
    """Try every promise of the contract on the network `name` of `MODELS`; torch's random state stays as it was.

    Promises: it is a `Generator` or `Discriminator` that keeps its config and announces its sizes; it can be built on
    the meta device, as saved models first are; shapes of what it gives, and for a generator [-1, 1]; dtype (float32,
    float64) and device; gradients (finite, and one for every trainable parameter after at most one step); labels are
    refused without classes and needed with them; equal outputs after its weights went through a safetensors file;
    no noise, and rows independent of their batch mates, in eval mode; and each offer that its class makes (`resized`,
    `features`, `first_layer`, `prepared_for_sampling`, `matching_weights`, `counterpart`, `takes_other_labels`) holds.
    If the config has a field `num_classes` that is 0, the same is tried with 3 classes.

    Args:
        name: a name in `MODELS`, a plug-in's too.
        config: what to build it from; by default its config class's defaults.
        onnx: also write it as ONNX, as `ganzoo export` does, and compare what onnxruntime computes for batches of 1 to
            64 rows (some seconds; needs `ganzoo-torch[onnx]`).

    Raises:
        UnknownNameError: no such model. ModelError: the network, the promise it breaks, and how.
        MissingExtraError: `onnx` is asked for, and not installed.
    """
    network_class: Any = MODELS[name]
    if not issubclass(network_class, (Generator, Discriminator)):
        raise ModelError(f"Model {name} must inherit ganzoo.models.Generator or Discriminator.")
    try:
        given = network_class.config_class() if config is None else config
    except ConfigError as error:
        raise ModelError(
            f"Model {name} has no config of defaults alone ({error}); give check_model a config."
        ) from error
    if not isinstance(given, network_class.config_class):
        wanted = network_class.config_class.__name__
        raise ModelError(f"Model {name} is built from a {wanted}, and the config is a {type(given).__name__}.")
    forms = {name: given}
    if given.to_dict().get("num_classes") == 0:
        forms[f"{name} with num_classes={CLASSES}"] = given.replace(num_classes=CLASSES)
    with seeded(0), torch.device("cpu"), torch.no_grad():
        for form, made_of in forms.items():
            _ModelPromises(form, network_class, made_of, onnx).run()


class _ModelPromises(Promises):
    """Those of one network class made of one config."""

    kind = ("Model", "network")
    error = ModelError
    dtypes = (torch.float64,)
    tolerance = 1e-3

    def __init__(self, name: str, network_class: type[Network], config: Config, onnx: bool) -> None:
        super().__init__(name)
        self.network_class, self.config, self.onnx = network_class, config, onnx

    def run(self) -> None:
        self.network = self.build()
        for promise in (self.config_kept, self.sizes, self.meta, self.shape, self.dtype, self.device, self.gradients):
            promise()
        for promise in (self.labels, self.noise, self.batch, self.state):
            promise()
        for offer in (self.resized, self.features, self.first_layer, self.prepared_for_sampling, self.others):
            offer()
        if self.onnx:
            self.exported()

    def build(self, config: Config | None = None) -> Any:
        """A network of `config`, its parameters moved away from a start such as zeros, which hides what follows."""
        try:
            with torch.enable_grad():  # as a user builds it
                network: Any = self.network_class(config or self.config)  # type: ignore[call-arg]  # a config alone
        except Exception as error:
            raise self.broken("one config", "its constructor, given its config alone, fails", error) from error
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        return network

    def inputs(self, module: Any, count: int = COUNT) -> tuple[Tensor, ...]:
        """Latents or images, and labels if the network has classes."""
        side = module.image_size
        shape = (module.latent_size,) if isinstance(module, Generator) else (module.image_channels, side, side)
        x = torch.randn(count, *shape)
        x = x if isinstance(module, Generator) else x.tanh()
        return (x, torch.arange(count) % module.num_classes) if module.num_classes else (x,)

    def loss(self, module: Any, first: Tensor, y: Tensor) -> Tensor:
        try:
            auxiliary = module.auxiliary_loss(first) if isinstance(module, Discriminator) else None
        except Exception as error:
            raise self.broken("auxiliary_loss", "called with images alone it fails", error) from error
        number = isinstance(auxiliary, Tensor) and not auxiliary.dim() and bool(auxiliary.isfinite())
        if auxiliary is not None and not number:
            raise self.broken("auxiliary_loss", f"it must be one finite number, and is {quote(auxiliary, 80)}")
        return (y * torch.randn_like(y)).mean() + (0 if auxiliary is None else auxiliary)

    def config_kept(self) -> None:
        if self.network.config != self.config:
            raise self.broken("one config", "its attribute `config` is not the config that it was built from")
        if type(self.config).from_dict(self.config.to_dict()) != self.config:
            raise self.broken("one config", "from_dict(to_dict()) makes another config")

    def sizes(self) -> None:
        names = ["image_size", "image_channels", "num_classes"]
        for name in [*names, "latent_size"] if isinstance(self.network, Generator) else names:
            value = getattr(self.network, name, None)
            if type(value) is not int or value < (name != "num_classes"):
                raise self.broken("announced sizes", f"{name} must be an int, and is {quote(value)}")

    def shape(self) -> None:
        for training in (True, False):
            self.check_output(self.call(self.network.train(training), self.inputs(self.network), "shape"), self.network)

    def check_output(self, y: Tensor, network: Any) -> None:
        side = network.image_size
        found = tuple(y.shape)
        if isinstance(network, Generator):
            wanted = (COUNT, network.image_channels, side, side)
            if found != wanted:
                raise self.broken("shape", f"{COUNT} latents give {found}, its announced sizes say {wanted}")
            if not (y.isfinite().all() and y.abs().max() <= 1):
                raise self.broken("range", "its images must be finite and within [-1, 1]")
        elif not found or found[0] != COUNT or not math.prod(found):
            raise self.broken("shape", f"{COUNT} images give {found}; logits must be ({COUNT}, ...)")

    def labels(self) -> None:
        network = self.build().eval()
        first, *labels = self.inputs(network)
        wrong: tuple[Tensor, ...] = (first,) if labels else (first, torch.zeros(COUNT, dtype=torch.long))
        what = (
            "without labels, which a network with classes needs" if labels else "with labels, though it has no classes"
        )
        try:
            network(*wrong)
        except ShapeError:
            pass
        except Exception as error:
            raise self.broken("labels", f"{what}, it raises another error than ShapeError", error) from error
        else:
            raise self.broken("labels", f"it must raise ShapeError {what}")
        if labels:
            one, other, *_ = self.call(network, (first[:1].expand_as(first), *labels), "labels")
            if torch.allclose(one, other):
                raise self.broken("labels", "one input under two labels gives the same")
            if isinstance(network, Discriminator) and network.takes_other_labels:
                others = labels[0].flip(0)
                both = self.call(network, (first, *labels, others), "takes_other_labels")
                wanted = torch.cat([network(first, *labels), network(first, others)])
                if both.shape != wanted.shape or not torch.allclose(both, wanted, atol=1e-4):
                    raise self.broken("takes_other_labels", "logits under other labels must follow the first ones")

    def resized(self) -> None:
        if type(self.config).resized is Config.resized:
            return
        size = 2 * self.network.image_size
        try:
            config = self.config.resized(size)
        except ConfigError:
            return  # it offers other sizes than this one
        network = self.build(config)
        if network.image_size != size:
            raise self.broken("resized", f"resized({size}) makes a network for images of {network.image_size} pixels")
        self.check_output(self.call(network.eval(), self.inputs(network), "resized"), network)

    def features(self) -> None:
        network = self.network.eval()
        if not isinstance(network, Discriminator) or type(network).features is Discriminator.features:
            return
        features = network.features(self.inputs(network)[0])
        if not features or any(each.dim() != 4 or len(each) != COUNT for each in features):
            raise self.broken("features", f"they must be tensors ({COUNT}, C, h, w) of {COUNT} images, first to last")

    def first_layer(self) -> None:
        network = self.network
        if not isinstance(network, Generator) or type(network).first_layer is Generator.first_layer:
            return
        found = tuple(network.first_layer().shape)
        if len(found) != 2 or found[1] != network.latent_size:
            raise self.broken("first_layer", f"it must be (outputs, {network.latent_size}), and is {found}")

    def prepared_for_sampling(self) -> None:
        network = self.network.eval()
        if not isinstance(network, Generator):
            return
        inputs = self.inputs(network)
        before = self.call(network, inputs, "prepared_for_sampling")
        after = self.call(network.prepared_for_sampling(), inputs, "prepared_for_sampling")
        if before.shape != after.shape or not torch.allclose(before, after, atol=1e-2):
            raise self.broken("prepared_for_sampling", "the copy gives other images")
        if not torch.equal(before, self.call(network, inputs, "prepared_for_sampling")):
            raise self.broken("prepared_for_sampling", "it changes the network itself")

    def others(self) -> None:
        network, offered = self.network, type(self.network)
        names = set(network.state_dict())
        if set(network.matching_weights(self.build())) != names:
            raise self.broken("matching_weights", "those of a network of the same config have other names")
        if offered.counterpart is not Network.counterpart:
            other = network.counterpart()
            sizes = [(each.image_size, each.image_channels, each.num_classes) for each in (network, other)]
            if sizes[0] != sizes[1] or isinstance(network, Generator) is isinstance(other, Generator):
                raise self.broken("counterpart", "it must be of the other kind, for the same images and labels")

    def exported(self) -> None:
        network = self.network.eval()
        first = "latents" if isinstance(network, Generator) else "images"
        content = b""
        for count in (COUNT, 1, 2, 7, 64):
            inputs = dict(zip((first, "labels"), self.inputs(network, count)))
            try:
                content = content or to_onnx(network, inputs, "output", {}, "it")
            except ConfigError as error:
                raise self.broken("ONNX", str(error)) from error
            wanted = network(*inputs.values())
            if largest_difference(run_onnx(content, inputs), wanted) > 1e-4 * max(1.0, float(wanted.abs().max())):
                raise self.broken("ONNX", f"onnxruntime computes something else from it for {count} rows")
