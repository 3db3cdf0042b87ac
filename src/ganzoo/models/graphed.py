"""A generator's pass over few images as a CUDA graph: starting its kernels one by one takes longer than they compute.

A graph reads the weights where they lie, so that it sees every change of their numbers. What it has baked in besides
(where they lie, attributes of modules, modes of torch) is compared before each call: if it has changed, another graph
is captured. What can't be captured runs as it is, and the reason is said once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from threading import Lock, get_ident
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.errors import words_of
from ganzoo.graphs import BakedIn, CudaGraph, NotCapturable, modes
from ganzoo.hardware import full_float32
from ganzoo.models.contract import Generator, evaluating

MOST_PIXELS = 64 * 64 * 64  # of a batch; more of them compute for longer than their kernels take to start
MOST_GRAPHS = 4  # of a GAN; each holds the memory of its pass
TRIES = 4  # calls that may wait for the device before they are believed to: a thread of other work may be what waits

Pass = Callable[..., Tensor]  # of latents, and of labels if there are any


def captures(device: torch.device) -> bool:
    """Whether `device` has graphs."""
    return device.type == "cuda"


def _fits(generator: nn.Module, count: int, device: torch.device) -> bool:
    """Whether a pass over `count` latents is one that a graph would speed up."""
    if not captures(device) or not isinstance(generator, Generator) or torch.is_autocast_enabled(device.type):
        return False
    return count * generator.image_size**2 <= MOST_PIXELS


class GraphedPasses:
    """Passes of a generator, in eval mode, by graphs. A copy of it begins anew.

    They are one thread's: once a second one calls, there are no graphs any more. Of several threads that sampled at
    once on a card, one got grey images when a capture failed.
    """

    def __init__(self) -> None:
        self._kinds: dict[Any, _Kind] = {}
        self.lock = Lock()  # of passes, also those without a graph
        self._given_up = False
        self._thread: int | None = None

    def __reduce__(self) -> Any:
        return GraphedPasses, ()  # graphs belong to a process, and to their weights

    def __call__(
        self,
        generator: nn.Module,
        images: Pass,
        inputs: Sequence[Tensor],
        device: torch.device,
        exact: bool,
        facts: tuple[Any, ...],
    ) -> Tensor | None:
        """What `images` gives for `inputs`, clamped to [-1, 1]; None if it is to be called without a graph.

        Args:
            images: calls `generator` on `device`.
            inputs: latents (N, latent_size), and labels (N,) if it takes any, on any device.
            exact: in full float32; otherwise torch's setting decides about TF32.
            facts: what `images` depends on besides.
        """
        if self._given_up or not _fits(generator, len(inputs[0]), device):
            return None
        stream = torch.cuda.current_stream(device) if device.type == "cuda" else None  # its passes follow each other
        key = exact, facts, modes(), stream, *((each.shape, each.dtype) for each in inputs)

        def clamped(*given: Tensor) -> Tensor:
            with full_float32(device) if exact else nullcontext():
                return images(*given).clamp(-1, 1)

        with self.lock:
            self._thread = self._thread or get_ident()
            if get_ident() != self._thread:
                self._give_up()
            if self._given_up:  # perhaps while this thread waited
                return None
            kept = self._kinds.pop(key, None)
            if kept is not None and kept.graph is not None and kept.network.holds():
                self._kinds[key] = kept  # the last used stands last
                return kept.repeat(kept.graph, inputs)
            here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
            with here, evaluating(generator), torch.no_grad():
                return self._begin(kept, generator, clamped, inputs, device, key)

    def _begin(
        self, kept: _Kind | None, generator: nn.Module, images: Pass, inputs: Sequence[Tensor], device: Any, key: Any
    ) -> Tensor | None:
        if kept is None or not kept.network.holds():
            kept = _Kind(BakedIn(generator))
        if not kept.network.capturable:
            return None
        self._kinds[key] = kept
        if len(self._kinds) > MOST_GRAPHS:
            del self._kinds[next(iter(self._kinds))]
        try:
            return kept.begin(images, inputs, device)
        except NotCapturable as error:
            self._give_up()
            warnings.warn(f"sampling runs without a CUDA graph, which is slower: {error}", stacklevel=5)
            return None

    def _give_up(self) -> None:
        self._given_up = True
        self._kinds.clear()


class _Kind:
    """Passes that differ in numbers alone: the first one runs as it is, then one is captured and repeated."""

    def __init__(self, network: BakedIn) -> None:
        self.network = network
        self.graph: CudaGraph | None = None
        self._tries = 0

    def begin(self, images: Pass, inputs: Sequence[Tensor], device: torch.device) -> Tensor:
        """Images of the first calls."""
        if self.graph is not None:  # a generator that is in training mode between the calls
            return self.repeat(self.graph, inputs)
        sent = [each.to(device, non_blocking=True) for each in inputs]
        # Just before a capture too: libraries make something for each thread that uses them, which a capture can't.
        made, waits = CudaGraph.warm(lambda: images(*sent))
        self._tries += 1
        if waits and self._tries == TRIES:
            raise NotCapturable(f"the generator waits for the device ({waits[0]})")
        if not waits and self._tries > 1:
            with torch.inference_mode(False), torch.no_grad():  # memory made in inference mode can't be written later
                self._capture(images, sent, made)
        return made

    def repeat(self, graph: CudaGraph, inputs: Sequence[Tensor]) -> Tensor:
        """Images of later ones."""
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given, non_blocking=True)
        graph.replay()
        return self._made.clone()

    def _capture(self, images: Pass, inputs: Sequence[Tensor], expected: Tensor) -> None:
        self._inputs, graph = [torch.zeros_like(each) for each in inputs], CudaGraph()  # the check has other numbers
        try:
            self._made = graph.capture(lambda: images(*self._inputs))
        except Exception as error:  # of a custom part, or of CUDA, each in a way of its own
            raise NotCapturable(words_of(_first(error))) from error
        if not torch.allclose(self.repeat(graph, inputs), expected, rtol=1e-2, atol=1e-4, equal_nan=True):
            raise NotCapturable("the generator gives other images when it is called again")
        self.graph = graph


def _first(error: Exception) -> Exception:
    """The error that led to `error`: one in a capture ends it, which is an error too."""
    while isinstance(error.__context__, Exception):
        error = error.__context__
    return error
