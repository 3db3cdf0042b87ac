"""What blocks and networks promise alike, each promise a method that raises if it is broken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ganzoo.errors import BlockError, ModelError, quote, words_of


class Promises(ABC):
    """Tries a module, which `build` makes, on random inputs; called without gradients, of which it asks where it must.

    Attributes:
        kind: what it is called in messages, with its `name`, and what it is.
        error: what is raised.
        dtypes: in which it must compute.
        tolerance: of two results that must be equal.
    """

    kind: ClassVar[tuple[str, str]]
    error: ClassVar[type[BlockError | ModelError]]
    dtypes: ClassVar[tuple[torch.dtype, ...]] = (torch.float32, torch.float64, torch.bfloat16)
    tolerance: ClassVar[float]

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def build(self) -> Any:
        """A fresh module."""

    @abstractmethod
    def inputs(self, module: Any) -> tuple[Tensor, ...]:
        """Random inputs of `module`: rows of features, and what goes with them."""

    def moved(self) -> Any:
        """A module away from a start such as zeros, which two share and which hides what follows."""
        return self.build()

    def loss(self, module: Any, first: Tensor, y: Tensor) -> Tensor:
        """What gradients are taken of, `y` being the output for inputs that begin with `first`."""
        return (y * torch.randn_like(y)).sum()

    def broken(self, promise: str, how: str, error: Exception | None = None) -> Exception:
        cause = f" ({words_of(error)})" if error else ""
        return self.error(f"{self.kind[0]} {self.name} breaks the promise of {promise}: {how}{cause}.")

    def call(self, module: nn.Module, inputs: tuple[Tensor, ...], promise: str) -> Tensor:
        """What `module` makes of `inputs`: one tensor, no exception, and the inputs as they were."""
        before = [each.clone() for each in inputs]
        try:
            y = module(*inputs)
        except Exception as error:
            shapes = " and ".join(str(tuple(each.shape)) for each in inputs)
            given = f"inputs of shape {shapes}, {inputs[0].dtype}, {inputs[0].device}"
            raise self.broken(promise, f"it fails on {given}", error) from error
        if not isinstance(y, Tensor) or not y.is_floating_point():
            raise self.broken("one tensor", f"it gives {quote(y)}, not one tensor of floating-point numbers")
        if inputs[0].device.type != "meta" and not all(map(torch.equal, inputs, before)):
            raise self.broken("inputs left alone", "it changes one in place")
        return y

    def compare(self, one: Tensor, other: Tensor, promise: str, how: str) -> None:
        relative, absolute = self.tolerance, self.tolerance / 10
        if one.shape != other.shape or not torch.allclose(one, other, relative, absolute, equal_nan=True):
            raise self.broken(promise, how)

    def dtype(self) -> None:
        for dtype in self.dtypes:
            module = self.build().to(dtype)
            inputs = tuple(each.to(dtype) if each.is_floating_point() else each for each in self.inputs(module))
            try:
                y = self.call(module, inputs, "dtype")
            except self.error as error:
                if dtype == torch.bfloat16 and "not implemented for" in str(error):
                    continue  # an operation that torch itself lacks here is not the module's fault
                raise
            if y.dtype != dtype:
                raise self.broken("dtype", f"it gives {y.dtype} when its weights and input are {dtype}")

    def device(self) -> None:
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        device = accelerator or torch.device("meta")  # torch's device without memory serves as a second one
        module = self.build().to(device)
        try:
            y = self.call(module, tuple(each.to(device) for each in self.inputs(module)), "device")
        except self.error as error:
            said = str(error.__cause__)
            mixed = " device" in said and not isinstance(error.__cause__, NotImplementedError)
            if device.type == "meta" and not mixed and "out of meta tensor" not in said:
                return  # it looks at values, which the meta device has not
            raise
        if y.device.type != device.type:
            raise self.broken("device", f"it gives a tensor on {y.device} for one on {device}")

    def gradients(self) -> None:
        module = self.build().train()
        trained = {key: parameter for key, parameter in module.named_parameters() if parameter.requires_grad}
        missing = {*trained, "its input", "its context"}
        for _attempt in range(2):  # what starts behind a zero, such as a gate, has one after one step
            inputs = tuple(each.requires_grad_(each.is_floating_point()) for each in self.inputs(module))
            learned = {**trained, **dict(zip(("its input", "its context"), inputs))}
            learned = {name: each for name, each in learned.items() if each.requires_grad}
            self._backward(module, inputs)
            for name, each in learned.items():
                if each.grad is not None and not each.grad.isfinite().all():
                    raise self.broken("gradients", f"that of {name} is not finite")
            reached = {name for name, each in learned.items() if each.grad is not None and each.grad.any()}
            missing = (missing & learned.keys()) - reached
            if "its input" in missing:
                raise self.broken("gradients", "none reaches its input")
            for parameter in trained.values():
                if parameter.grad is not None:
                    parameter -= 0.01 * parameter.grad
        if missing:
            raise self.broken("gradients", f"none reaches {', '.join(sorted(missing)[:3])}")

    def _backward(self, module: Any, inputs: tuple[Tensor, ...]) -> None:
        module.zero_grad()
        with torch.enable_grad():  # products, since torch forbids any change in place of a leaf
            y = self.call(module, tuple(each * 1 for each in inputs), "gradients")
            try:
                self.loss(module, inputs[0], y).backward()
            except RuntimeError as error:
                raise self.broken("gradients", "the backward pass fails", error) from error

    def noise(self) -> None:
        module = self.moved().eval()
        inputs = self.inputs(module)
        one, other = (self.call(module, inputs, "no noise") for _ in range(2))
        self.compare(one, other, "no noise", "two calls with one input differ in eval mode")

    def batch(self) -> None:
        module = self.moved().eval()
        inputs = self.inputs(module)
        whole = self.call(module, inputs, "batch independence")
        row = self.call(module, tuple(each[:1].contiguous() for each in inputs), "batch independence")
        self.compare(whole[:1], row, "batch independence", "in eval mode a row depends on its batch mates")

    def meta(self) -> None:
        module = self.build()
        try:
            with torch.device("meta"):
                twin = self.build()
            shapes, found = ({key: value.shape for key, value in each.state_dict().items()} for each in (module, twin))
        except Exception as error:
            how = "it can't be built without memory, as saved models first are"
            raise self.broken("the meta device", how, error) from error
        if found != shapes:
            raise self.broken("the meta device", "built without memory, its weights have other names or shapes")

    def state(self) -> None:
        module, fresh = self.moved(), self.build()
        for _call in range(3):  # statistics move
            shifted = tuple(each + each.is_floating_point() for each in self.inputs(module))
            self.call(module.train(), shifted, "state")
        try:
            weights = {key: value.contiguous().clone() for key, value in module.state_dict().items()}
            fresh.load_state_dict(load(save(weights)))
        except Exception as error:
            raise self.broken("state", f"a fresh {self.kind[1]} refuses its saved weights", error) from error
        inputs = self.inputs(module)
        one, other = (self.call(each.eval(), inputs, "state") for each in (module, fresh))
        self.compare(one, other, "state", f"a fresh {self.kind[1]} with its saved weights gives other outputs")
