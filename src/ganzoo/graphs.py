"""What a function does on a CUDA device as one CUDA graph, and what such a graph bakes in of a network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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
        main, beside, mode = torch.cuda.current_stream(), torch.cuda.Stream(), torch.cuda.get_sync_debug_mode()
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
        """What `function` gives, in memory that each `replay` fills."""
        # By default no other thread could use the device meanwhile, and one reads images.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            return function()

    def replay(self) -> None:
        """Do again what was captured."""
        self._graph.replay()


def python_runs_between(module: nn.Module) -> bool:
    """Whether `module` has hooks, which a graph would leave out, or is compiled to graphs of its own."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
    return bool(hooks) or module._compiled_call_impl is not None


def baked_in(module: nn.Module) -> tuple[Any, ...]:
    """What a graph bakes in of `module` itself: its type, its plain attributes, and where its tensors lie, and how."""
    plain = [value for value in vars(module).values() if isinstance(value, (int, float, str))]
    tensors = [each for each in (*module._parameters.values(), *module._buffers.values()) if each is not None]
    return (
        type(module),
        *plain,
        *((each.data_ptr(), each.dtype, each.shape, each.stride(), each.requires_grad) for each in tensors),
    )
