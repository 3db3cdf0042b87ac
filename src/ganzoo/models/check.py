"""Does a registered network keep `models/contract.py`? Every promise is one function that raises if it is broken."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

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
    `features`, `first_layer`, `prepared_for_sampling`, `matching_weights`, `counterpart`) holds. If the config has a
    field `num_classes` that is 0, the same is tried with 3 classes.

    Args:
        name: a name in `MODELS`, a plug-in's too.
        config: what to build it from; by default its config class's defaults.
        onnx: also write it as ONNX, as `ganzoo export` does, and compare what onnxruntime computes for two sizes of a
            batch (some seconds; needs `ganzoo-torch[onnx]`).

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
    fields = {field.name for field in dataclasses.fields(given)}
    with seeded(0), torch.device("cpu"):
        _Trial(name, network_class, given, onnx).run()
        if "num_classes" in fields and not getattr(given, "num_classes"):  # noqa: B009 - a field of some configs
            _Trial(f"{name} with num_classes={CLASSES}", network_class, given.replace(num_classes=CLASSES), onnx).run()


class _Trial:
    """One network class and one config, with every promise as a method."""

    def __init__(self, name: str, network_class: type[Network], config: Config, onnx: bool) -> None:
        self.name, self.network_class, self.config, self.onnx = name, network_class, config, onnx

    def run(self) -> None:
        self.network = self.build(self.config)
        for promise in (
            self.config_kept,
            self.sizes,
            self.meta,
            self.shape,
            self.dtype,
            self.device,
            self.gradients,
            self.labels,
            self.noise,
            self.batch,
            self.state,
            self.resized,
            self.offers,
            *((self.exported,) if self.onnx else ()),
        ):
            promise()

    def broken(self, promise: str, how: str, error: Exception | None = None) -> ModelError:
        cause = f" ({type(error).__name__}: {quote(str(error), 200)})" if error else ""
        return ModelError(f"Model {self.name} breaks the promise of {promise}: {how}{cause}.")

    def build(self, config: Config) -> Any:
        """A network of `config`, its parameters moved away from a start such as zeros, which hides what follows."""
        try:
            network: Any = self.network_class(config)  # type: ignore[call-arg]  # the contract: a config alone
        except Exception as error:
            raise self.broken("one config", "its constructor, given its config alone, fails", error) from error
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        return network

    def inputs(self, network: Any, count: int = COUNT, **options: Any) -> tuple[Tensor, ...]:
        """What `network` is called with: latents or images, and labels if it has classes."""
        side = network.image_size
        shape = (network.latent_size,) if isinstance(network, Generator) else (network.image_channels, side, side)
        x = torch.randn(count, *shape, **options)
        x = x if isinstance(network, Generator) else x.tanh()
        classes = network.num_classes
        return (x, torch.arange(count, device=x.device) % classes) if classes else (x,)

    def call(self, network: Any, inputs: tuple[Tensor, ...], promise: str) -> Tensor:
        try:
            y = network(*inputs)
        except Exception as error:
            shapes = " and ".join(str(tuple(each.shape)) for each in inputs)
            raise self.broken(promise, f"it fails on inputs of shape {shapes}, {inputs[0].dtype}", error) from error
        if not isinstance(y, Tensor) or not y.is_floating_point():
            raise self.broken(promise, f"it gives {quote(y, 80)}, not one tensor of floating-point numbers")
        return y

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

    def meta(self) -> None:
        try:
            with torch.device("meta"):
                shapes = {key: value.shape for key, value in self.network_class(self.config).state_dict().items()}  # type: ignore[call-arg]
        except Exception as error:
            raise self.broken(
                "the meta device", "it can't be built without memory, as saved models first are", error
            ) from error
        if shapes != {key: value.shape for key, value in self.network.state_dict().items()}:
            raise self.broken("the meta device", "built without memory, its weights have other names or shapes")

    @torch.no_grad()
    def shape(self) -> None:
        for training in (True, False):
            inputs = self.inputs(self.network)
            before = [each.clone() for each in inputs]
            y = self.call(self.network.train(training), inputs, "shape")
            if not all(map(torch.equal, inputs, before)):
                raise self.broken("shape", "it changes its input in place")
            self.check_output(y, self.network)

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

    @torch.no_grad()
    def dtype(self) -> None:
        network = self.build(self.config).double().eval()
        y = self.call(network, self.inputs(network, dtype=torch.float64), "dtype")
        if y.dtype != torch.float64:
            raise self.broken("dtype", f"it gives {y.dtype} when its weights and input are float64")

    @torch.no_grad()
    def device(self) -> None:
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        device = accelerator or torch.device("meta")  # torch's device without memory serves as a second one
        network = self.build(self.config).to(device).eval()
        try:
            y = self.call(network, self.inputs(network, device=device), "device")
        except ModelError as error:
            said = str(error.__cause__)
            looks_at_values = isinstance(error.__cause__, NotImplementedError) or " device" not in said
            if device.type == "meta" and looks_at_values and "out of meta tensor" not in said:
                return  # it looks at values, which the meta device has not
            raise
        if y.device.type != device.type:
            raise self.broken("device", f"it gives a tensor on {y.device} for one on {device}")

    def gradients(self) -> None:
        network = self.build(self.config).train()
        trained = dict(network.named_parameters())
        missing = {key for key, parameter in trained.items() if parameter.requires_grad}
        for _attempt in range(2):  # what starts behind a zero has a gradient after one step
            first, *labels = self.inputs(network)
            first.requires_grad_()
            y = self.call(network, (first * 1, *labels), "gradients")
            auxiliary = network.auxiliary_loss(first) if isinstance(network, Discriminator) else None
            if auxiliary is not None and (auxiliary.dim() or not auxiliary.isfinite()):
                raise self.broken("auxiliary_loss", f"it must be one finite number, and is {quote(auxiliary, 80)}")
            try:
                ((y * torch.randn_like(y)).mean() + (0 if auxiliary is None else auxiliary)).backward()
            except RuntimeError as error:
                raise self.broken("gradients", "the backward pass fails", error) from error
            for key, value in {**trained, "its input": first}.items():
                if value.grad is not None and not value.grad.isfinite().all():
                    raise self.broken("gradients", f"that of {key} is not finite")
            if first.grad is None or not first.grad.any():
                raise self.broken("gradients", "none reaches its input")
            missing = {key for key in missing if trained[key].grad is None or not trained[key].grad.any()}
            with torch.no_grad():
                for parameter in trained.values():
                    if parameter.grad is not None:
                        parameter.sub_(0.01 * parameter.grad)
        if missing:
            raise self.broken("gradients", f"none reaches {', '.join(sorted(missing)[:3])}")

    @torch.no_grad()
    def labels(self) -> None:
        network = self.build(self.config).eval()
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
            same = [self.call(network, (first[:1].expand(COUNT, *first.shape[1:]), each), "labels") for each in labels]
            if torch.allclose(same[0][0], same[0][1]):
                raise self.broken("labels", "one input under two labels gives the same")

    @torch.no_grad()
    def noise(self) -> None:
        network, inputs = self.network.eval(), self.inputs(self.network)
        self.compare("no noise", "two calls with one input differ in eval mode", lambda: self.call(network, inputs, ""))

    @torch.no_grad()
    def batch(self) -> None:
        network, inputs = self.network.eval(), self.inputs(self.network)
        whole = self.call(network, inputs, "batch independence")
        row = self.call(network, tuple(each[:1] for each in inputs), "batch independence")
        if not _close(whole[:1], row):
            raise self.broken("batch independence", "in eval mode a row depends on its batch mates")

    def compare(self, promise: str, how: str, call: Callable[[], Tensor]) -> None:
        if not _close(call(), call()):
            raise self.broken(promise, how)

    @torch.no_grad()
    def state(self) -> None:
        network, fresh = self.build(self.config), self.build(self.config).eval()
        for _call in range(2):
            self.call(network.train(), self.inputs(network), "state")  # statistics move
        try:
            weights = {key: value.contiguous().clone() for key, value in network.state_dict().items()}
            fresh.load_state_dict(load(save(weights)))
        except Exception as error:
            raise self.broken("state", "its weights don't come back from a safetensors file", error) from error
        inputs = self.inputs(network)
        if not _close(self.call(network.eval(), inputs, "state"), self.call(fresh, inputs, "state")):
            raise self.broken("state", "a fresh network with its saved weights gives other outputs")

    @torch.no_grad()
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

    @torch.no_grad()
    def offers(self) -> None:
        network, offered = self.network.eval(), type(self.network)
        inputs = self.inputs(network)
        if isinstance(network, Discriminator) and offered.features is not Discriminator.features:
            features = network.features(inputs[0])
            if not features or any(each.dim() != 4 or len(each) != COUNT for each in features):
                raise self.broken(
                    "features", f"they must be tensors ({COUNT}, C, h, w) of {COUNT} images, first to last"
                )
        if isinstance(network, Generator):
            if offered.first_layer is not Generator.first_layer:
                found = tuple(network.first_layer().shape)
                if len(found) != 2 or found[1] != network.latent_size:
                    raise self.broken("first_layer", f"it must be (outputs, {network.latent_size}), and is {found}")
            before = self.call(network, inputs, "prepared_for_sampling")
            after = self.call(network.prepared_for_sampling(), inputs, "prepared_for_sampling")
            if before.shape != after.shape or not torch.allclose(before, after, atol=1e-2):
                raise self.broken("prepared_for_sampling", "the copy gives other images")
            if not torch.equal(before, self.call(network, inputs, "prepared_for_sampling")):
                raise self.broken("prepared_for_sampling", "it changes the network itself")
        names = set(network.state_dict())
        if set(network.matching_weights(self.build(self.config))) != names:
            raise self.broken("matching_weights", "those of a network of the same config have other names")
        if offered.counterpart is not Network.counterpart:
            other = network.counterpart()
            sizes = [(each.image_size, each.image_channels, each.num_classes) for each in (network, other)]
            if sizes[0] != sizes[1] or isinstance(network, Generator) is isinstance(other, Generator):
                raise self.broken("counterpart", "it must be of the other kind, for the same images and labels")

    @torch.no_grad()
    def exported(self) -> None:
        network = self.network.eval()
        first = "latents" if isinstance(network, Generator) else "images"
        content = b""
        for count in (COUNT, 1):
            inputs = dict(zip((first, "labels"), self.inputs(network, count)))
            try:
                content = content or to_onnx(network, inputs, "output", {}, "it")
            except ConfigError as error:
                raise self.broken("ONNX", str(error)) from error
            if largest_difference(run_onnx(content, inputs), network(*inputs.values())) > 1e-3:
                raise self.broken("ONNX", f"onnxruntime computes something else from it for {count} rows")


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4)
