"""What a function does on a CUDA device as one CUDA graph, and what such a graph bakes in of a network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from itertools import chain
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn


class NotCapturable(Exception):
    """No graph can repeat this; the message says why. Nothing was computed."""


class CudaGraph:
    """What a function does on the device, captured and repeated."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    @staticmethod
    def warm(function: Callable[[], Tensor]) -> tuple[Tensor, list[str]]:
        """Call `function` beside the main stream, as a capture will; tell the lines that wait for the device."""
        main, mode = torch.cuda.current_stream(), torch.cuda.get_sync_debug_mode()
        beside, _ = _side_streams(torch.cuda.current_device(), get_ident())
        beside.wait_stream(main)
        with warnings.catch_warnings(record=True) as caught, torch.cuda.stream(beside):
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                made = function()
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        main.wait_stream(beside)
        about = [each for each in caught if "synchronizing" in str(each.message)]  # one says that the mode is new
        waits = [each for each in about if "called a synchronizing" in str(each.message)]
        for each in caught:
            if each not in about:
                warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        return made, [f"{each.filename}, line {each.lineno}" for each in waits]

    def capture(self, function: Callable[[], Tensor]) -> Tensor:
        """What `function` gives, in memory that each `replay` fills; this thread must have called `warm` with it."""
        # A capture that fails leaves its own stream behind, so this one is brought back. And by default no other thread
        # could use the device meanwhile, but one reads images.
        now = torch.cuda.stream(torch.cuda.current_stream())
        _, beside = _side_streams(torch.cuda.current_device(), get_ident())
        with now, torch.cuda.graph(self._graph, stream=beside, capture_error_mode="thread_local"):
            return function()

    def replay(self) -> None:
        """Do again what was captured."""
        self._graph.replay()


@cache
def _side_streams(device: int, thread: int) -> tuple[torch.cuda.Stream, torch.cuda.Stream]:
    """Streams to warm on and to capture on, of this device: torch's own is of the device that captured first, and
    elsewhere captures nothing. Always the same: cuBLAS keeps memory for each stream that it was used on. And of one
    thread: what another one did on a stream that captures would be captured, and not computed."""
    return torch.cuda.Stream(device), torch.cuda.Stream(device)


def modes() -> tuple[Any, ...]:
    """Modes of torch by which CUDA's libraries choose how they compute: a graph bakes them in."""
    cudnn: Any = torch.backends.cudnn  # torch declares not all of it
    precisions = cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    return *precisions, cudnn.deterministic, cudnn.benchmark, torch.are_deterministic_algorithms_enabled()


class BakedIn:
    """What a graph bakes in of a network: its modules, their attributes, and where their tensors lie.

    It is compared before each repetition, so without a line of Python for each module. What it compares it also holds,
    so that nothing else can come to lie at the same address.
    """

    def __init__(self, network: nn.Module) -> None:
        modules = [*network.modules()]
        hooks = [(each._forward_hooks, each._forward_pre_hooks, each._backward_hooks) for each in modules]
        self._hooks = [hook for three in hooks for hook in three]
        # Hooks are not in a graph, and what torch.compile made may have graphs of its own.
        self.capturable = not any(self._hooks) and all(each._compiled_call_impl is None for each in modules)
        self._attributes = [vars(each) for each in modules]
        self._parts = [part for each in modules for part in (each._modules, each._parameters, each._buffers)]
        self._tensors = [each for each in _values(self._parts) if isinstance(each, Tensor)]
        self._before = self._now()

    def holds(self) -> bool:
        """Whether all is as it was."""
        try:
            return not any(self._hooks) and self._before == self._now()
        except (RuntimeError, ValueError):  # another tensor or array, whose comparison is no single truth
            return False

    def _now(self) -> tuple[list[Any], ...]:
        places = [(each.data_ptr(), each.dtype, each.shape, each.stride()) for each in self._tensors]
        return _values(self._attributes), _values(self._parts), places


def _values(tables: list[dict[str, Any]]) -> list[Any]:
    return list(chain.from_iterable(map(dict.values, tables)))
