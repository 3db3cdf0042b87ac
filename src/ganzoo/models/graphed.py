"""A generator's pass over few images as a CUDA graph: starting its kernels one by one takes longer than they compute.

A graph reads the weights where they lie, so that it sees every change of their numbers. What it has baked in besides
(where they lie, attributes of modules, modes of torch) is compared before each call: if it has changed, another graph
is captured. What can't be captured runs as it is, and the reason is said once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.errors import words_of
from ganzoo.graphs import CudaGraph, NotCapturable, baked_in, python_runs_between
from ganzoo.hardware import full_float32
from ganzoo.models.checked import checked_images
from ganzoo.models.contract import Generator, evaluating

MOST_PIXELS = 64 * 64 * 64  # of a batch; more of them compute for longer than their kernels take to start
MOST_GRAPHS = 4  # of a GAN; each holds the memory of its pass
TRIES = 3  # calls that may wait for the device: another thread may be the one that waits


def captures(device: torch.device) -> bool:
    """Whether `device` has graphs."""
    return device.type == "cuda"


class GraphedPasses:
    """Passes of a generator, in eval mode, by graphs. Threads may share it; a copy of it begins anew."""

    def __init__(self) -> None:
        self._passes: dict[Any, _Pass] = {}
        self._lock = Lock()
        self._given_up = False

    def __reduce__(self) -> Any:
        return GraphedPasses, ()  # graphs belong to a process, and to their weights

    def __call__(
        self, generator: nn.Module, device: torch.device, latents: Tensor, labels: Tensor | None, exact: bool
    ) -> Tensor | None:
        """Images float32 (N, C, H, W) in [-1, 1] on `device`; None if they are to be made without a graph.

        Args:
            generator: on `device`.
            latents, labels: as it takes them, on any device.
            exact: in full float32; otherwise torch's setting decides about TF32.
        """
        if self._given_up or not isinstance(generator, Generator) or not captures(device):
            return None
        if len(latents) * generator.image_size**2 > MOST_PIXELS or torch.is_autocast_enabled(device.type):
            return None
        inputs = [latents] if labels is None else [latents, labels]
        key = (*(each.shape for each in inputs), latents.dtype, exact, _modes(device))

        def images(*given: Tensor) -> Tensor:
            with full_float32(device) if exact else nullcontext():
                return checked_images(generator, *given).float().contiguous().clamp(-1, 1)

        here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
        with self._lock, here, evaluating(generator), torch.no_grad():
            modules, network = _baked_in(generator)
            if any(python_runs_between(module) for module in modules):
                return None
            kept = self._passes.pop(key, None)
            if kept is None or kept.modules != modules or kept.network != network:
                kept = _Pass(modules, network)
            self._passes[key] = kept  # the last used stands last
            if len(self._passes) > MOST_GRAPHS:
                del self._passes[next(iter(self._passes))]
            try:
                return kept(images, inputs, device)
            except NotCapturable as error:
                self._given_up = True
                self._passes.clear()
                warnings.warn(f"sampling runs without a CUDA graph, which is slower: {error}", stacklevel=4)
                return None


class _Pass:
    """Passes that differ in numbers alone: the first one runs as it is, then one is captured and repeated."""

    def __init__(self, modules: list[nn.Module], network: list[tuple[Any, ...]]) -> None:
        self.modules, self.network = modules, network  # held, so that nothing else can come to lie at their addresses
        self._tries, self._warm = 0, False
        self._graph: CudaGraph | None = None

    def __call__(self, images: Callable[..., Tensor], inputs: list[Tensor], device: torch.device) -> Tensor:
        if not self._warm:
            return self._as_it_is(images, inputs, device)
        if self._graph is None:
            with torch.inference_mode(False), torch.no_grad():  # memory made in inference mode can't be written later
                return self._capture(images, inputs, device)
        return self._repeat(self._graph, inputs)

    def _repeat(self, graph: CudaGraph, inputs: list[Tensor]) -> Tensor:
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given, non_blocking=True)
        graph.replay()
        return self._made.clone()

    def _as_it_is(self, images: Callable[..., Tensor], inputs: list[Tensor], device: torch.device) -> Tensor:
        sent = [each.to(device, non_blocking=True) for each in inputs]
        made, waits = CudaGraph.warm(lambda: images(*sent))
        self._tries, self._warm = self._tries + 1, not waits
        if self._tries == TRIES and waits:
            raise NotCapturable(f"the generator waits for the device ({waits[0]})")
        return made

    def _capture(self, images: Callable[..., Tensor], inputs: list[Tensor], device: torch.device) -> Tensor:
        self._inputs, graph = [each.to(device, copy=True) for each in inputs], CudaGraph()
        try:
            self._made = graph.capture(lambda: images(*self._inputs))
        except Exception as error:  # of a custom part, or of CUDA, each in a way of its own
            raise NotCapturable(words_of(_first(error))) from error
        made = self._repeat(graph, inputs)
        if not torch.allclose(made, images(*self._inputs), rtol=1e-2, atol=1e-4, equal_nan=True):
            raise NotCapturable("the generator gives other images when it is called again")
        self._graph = graph
        return made


def _first(error: Exception) -> Exception:
    """The error that led to `error`: one in a capture ends it, which is an error too."""
    while isinstance(error.__context__, Exception):
        error = error.__context__
    return error


def _baked_in(generator: nn.Module) -> tuple[list[nn.Module], list[tuple[Any, ...]]]:
    """The modules of `generator`, and what a graph bakes in of each."""
    modules = [generator]
    for module in modules:  # grows; a quarter of the time of `modules()`, which counts for one image
        modules += [each for each in module._modules.values() if each is not None]
    return modules, [baked_in(module) for module in modules]


def _modes(device: torch.device) -> tuple[Any, ...]:
    """Modes of torch that a graph bakes in, and the stream, on which its passes follow each other."""
    precision = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    return *precision, torch.cuda.current_stream(device) if device.type == "cuda" else None
