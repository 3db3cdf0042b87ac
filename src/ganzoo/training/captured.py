"""The updates of a step as one CUDA graph: hundreds of small kernels started by one call, so that a GPU need not wait.

A graph repeats the kernels of the step in which it was captured, on the same memory. So all that changes from step to
step is written there first, by one copy: latents, labels, what augmentations and penalties draw, what schedules give.
What a graph has baked in (sizes, penalties due, attributes of modules, addresses of weights, modes of torch) is
compared before each step: if it has changed, another graph is captured. What can't be captured runs as it is, and the
reason is said once.
"""

from __future__ import annotations

import random as python_random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.errors import words_of
from ganzoo.graphs import CudaGraph, NotCapturable, modes
from ganzoo.runs.checkpoint import TrainingState
from ganzoo.seeds import Draw, Draws, Streams
from ganzoo.training.optimizers import ScheduledAdam

WARM = 2  # steps of a kind that run as they are before its graph is captured: kernels are chosen, optimizers begin
MOST_KINDS = 8  # of steps, each with a graph that holds memory
DIFFERENCES = (  # of two kinds, in the order of a key
    "sizes of batches", "penalties due", "modes of torch", "options of optimizers",
    "attributes or memory of modules",
)  # fmt: skip
ALIGNED = 16  # bytes
TAKE = "ganzoo.seeds.uniform, normal, normal_each, integers or number"

Inputs = Sequence["Tensor | None"]
Updates = Callable[[Inputs, Streams], Tensor]
Source = tuple[Any, ...]  # what `Streams` is called with


class _Recorded(Draws):
    """A generator that writes down what is drawn."""

    def __init__(self) -> None:
        self.draws: list[Draw] = []

    def take(self, draw: Draw, device: torch.device) -> Tensor:
        self.draws.append(draw)
        return super().take(draw, device)


class _Drawn(Draws):
    """A generator that hands out what lies on the device already."""

    numbers: Iterator[Tensor]

    def take(self, draw: Draw, device: torch.device) -> Tensor:
        return next(self.numbers)


class _Packed:
    """Tensors side by side in one piece of the device's memory, filled by one copy."""

    def __init__(self, like: Sequence[Tensor], device: torch.device) -> None:
        sizes = [-(-each.numel() * each.element_size() // ALIGNED) * ALIGNED for each in like]
        self._places = [(sum(sizes[:index]), each.dtype, each.shape) for index, each in enumerate(like)]
        self._memory = torch.zeros(sum(sizes), dtype=torch.uint8, device=device)
        self.tensors = self._views(self._memory)

    def _views(self, memory: Tensor) -> list[Tensor]:
        return [
            memory[first : first + shape.numel() * dtype.itemsize].view(dtype).view(shape)
            for first, dtype, shape in self._places
        ]

    def fill(self, tensors: Sequence[Tensor]) -> None:
        # Pinned memory is asked for anew each time: an earlier copy may still be under way.
        memory = torch.empty(self._memory.shape, dtype=torch.uint8, pin_memory=self._memory.device.type == "cuda")
        for view, tensor in zip(self._views(memory), tensors, strict=True):
            view.copy_(tensor)
        self._memory.copy_(memory, non_blocking=True)


class _Kind:
    """Steps that differ in numbers alone: the first ones run as they are, then one is captured and repeated."""

    def __init__(
        self, updates: Updates, optimizers: Sequence[Optimizer], device: torch.device, held: Sequence[Tensor]
    ) -> None:
        self._updates, self._device = updates, device
        self._held = held  # or other tensors might come to lie at their addresses, which tell kinds apart
        self._groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self._scheduled = [
            group for each in optimizers if isinstance(each, ScheduledAdam) for group in each.param_groups
        ]
        self._sources: list[tuple[Source, list[Draw]]] = []
        self._graph: CudaGraph | None = None
        self.warmed = 0

    def warm(self, inputs: Inputs, streams: Streams) -> tuple[Tensor, str | None]:
        """The figures of a step that runs as it is, and what keeps it from being captured."""
        recorded: list[tuple[Source, _Recorded]] = []

        def random(*source: Any) -> torch.Generator:
            recorded.append((source, _Recorded()))
            recorded[-1][1].set_state(streams(*source).get_state())
            return recorded[-1][1]

        on_cpu = _random_states()
        figures, waits = CudaGraph.warm(lambda: self._updates(inputs, random))
        moved = on_cpu != _random_states()
        self.warmed += 1
        self._sources = [(source, each.draws) for source, each in recorded]
        for source, each in recorded:
            again = streams(*source)
            for draw in each.draws:
                draw(again)
            if not torch.equal(again.get_state(), each.get_state()):
                return figures, f"{source[0]} draws random numbers by itself; take them from {TAKE}"
        if moved:
            return figures, "random numbers are drawn on the CPU, which a graph would not do; draw them on the device"
        return figures, f"it waits for the device ({waits[0]})" if waits and self.warmed == WARM else None

    def repeat(self, inputs: Inputs, streams: Streams) -> Tensor:
        """The figures of a step, in memory that the next one overwrites; raises NotCapturable."""
        small = [each for each in inputs if each is not None and each.dim() != 4]
        images = [each for each in inputs if each is not None and each.dim() == 4]
        for source, draws in self._sources:
            random = streams(*source)
            small += [draw(random) for draw in draws]
        small += [torch.tensor(group["lr"]) for group in self._groups]
        small += [torch.tensor(group["betas"][1], dtype=torch.float64) for group in self._scheduled]
        if self._graph is None:
            self._packed = _Packed(small, self._device)
            self._images = [torch.empty_like(each, device=self._device) for each in images]
        self._packed.fill(small)
        for mine, given in zip(self._images, images, strict=True):
            mine.copy_(given, non_blocking=True)
        if self._graph is None:
            self._capture(inputs)
            assert self._graph is not None
        self._graph.replay()
        for parameter, gradient in self._gradients:  # those of another kind may stand there
            parameter.grad = gradient
        return self._figures

    @contextmanager
    def _options_on_device(self) -> Iterator[None]:
        """Let optimizers take what changes from the last tensors of `_packed`."""
        first = len(self._packed.tensors) - len(self._groups) - len(self._scheduled)
        numbers = iter(self._packed.tensors[first:])
        before = [dict(group) for group in self._groups]
        try:
            for group in self._groups:
                group |= {"lr": next(numbers), "capturable": True}
            for group in self._scheduled:
                group["betas"] = group["betas"][0], next(numbers)
            yield
        finally:
            for group, saved in zip(self._groups, before):
                group.update(saved)

    def _capture(self, inputs: Inputs) -> None:
        numbers, images = iter(self._packed.tensors), iter(self._images)
        placed = [None if each is None else next(images if each.dim() == 4 else numbers) for each in inputs]
        graph, drawn = CudaGraph(), [_Drawn() for _ in self._sources]
        # Draws of several sources alternate, so each hands out its own; sources are asked for in the order of `warm`.
        for source, (_, draws) in zip(drawn, self._sources):
            source.numbers = iter([next(numbers) for _ in draws])
        sources = iter(drawn)
        try:
            with self._options_on_device():
                self._figures = graph.capture(lambda: self._updates(placed, lambda *source: next(sources)))
        except Exception as error:  # of a custom part, or of CUDA, each in a way of its own
            raise NotCapturable(words_of(error)) from error
        self._graph = graph
        self._gradients = [(each, each.grad) for group in self._groups for each in group["params"]]


class CapturedStep:
    """Runs the updates of steps by graphs, one for each kind of step, or as they are.

    Args:
        updates: of what is drawn for a step (images alone have four dimensions), and of a source of generators.
        state: whose networks and optimizers the updates change.
        reason: why nothing is to be captured.
    """

    def __init__(self, updates: Updates, state: TrainingState, device: torch.device, reason: str | None = None) -> None:
        self._updates, self._device = updates, device
        self._networks = {"generator": state.generator, "discriminator": state.discriminator}
        self._optimizers = [*state.optimizers().values()]
        self._kinds: dict[Any, _Kind] = {}
        self.reason: str | None = None
        if reason:
            self._give_up(reason)

    def forget(self) -> None:
        """Weights or optimizers were loaded, perhaps into other memory: capture anew."""
        self._kinds.clear()

    def __call__(self, inputs: Inputs, streams: Streams, method: tuple[Any, ...]) -> Tensor:
        """The figures of a step; the next one may overwrite them.

        Args:
            method: what of the method tells steps apart: which penalties are due.
        """
        if self.reason is None:
            try:
                return self._by_graph(inputs, streams, method)
            except NotCapturable as error:
                self._give_up(str(error))
        return self._updates(inputs, streams)

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self._kinds.clear()
        warnings.warn(f"training runs without a CUDA graph, which is slower: {reason}", stacklevel=4)

    def _by_graph(self, inputs: Inputs, streams: Streams, method: tuple[Any, ...]) -> Tensor:
        before, held = self._baked_in()
        shapes = tuple(None if each is None else (each.shape, each.dtype) for each in inputs)
        key = shapes, method, modes(), self._options(), tuple(before.values())
        if key not in self._kinds and len(self._kinds) == MOST_KINDS:
            differ = [name for name, *values in zip(DIFFERENCES, key, *self._kinds) if len(set(values)) > 1]
            raise NotCapturable(f"steps are of more than {MOST_KINDS} kinds; they differ in {', '.join(differ)}")
        kind = self._kinds.setdefault(key, _Kind(self._updates, self._optimizers, self._device, held))
        if kind.warmed == WARM:
            return kind.repeat(inputs, streams)
        figures, reason = kind.warm(inputs, streams)
        after, _ = self._baked_in()
        changed = [name for name in before if after.get(name) != before[name]]
        if changed and not reason:
            reason = f"{changed[0]} changes attributes or replaces tensors as it computes"
        if reason:
            self._give_up(reason)
        return figures

    def _options(self) -> tuple[Any, ...]:
        """Options of optimizers but those that a graph is given in each step."""
        return tuple(
            value[0] if name == "betas" and isinstance(optimizer, ScheduledAdam) else value
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for name, value in group.items()
            if name not in ("params", "lr")
        )

    def _baked_in(self) -> tuple[dict[str, tuple[Any, ...]], list[Tensor]]:
        """Of each module its plain attributes and where its tensors lie, and those tensors that are no parameters or
        buffers; NotCapturable if a module or a weight has hooks."""
        found: dict[str, tuple[Any, ...]] = {}
        held: list[Tensor] = []
        for name, network in self._networks.items():
            for path, module in network.named_modules(prefix=f"the {name}"):
                weights = [*filter(torch.is_tensor, module._parameters.values())]
                if any(_hooks(module, weights)):
                    raise NotCapturable(f"{path} has hooks, which a graph would leave out")
                values = vars(module).values()
                others = [each for each in values if torch.is_tensor(each) and each.layout == torch.strided]
                tensors = [*others, *weights, *filter(torch.is_tensor, module._buffers.values())]
                found[path] = (type(module), *filter(_is_plain, values), *map(_place, tensors))
                held += others
        return found, held


def _place(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.requires_grad, tensor.dtype, tensor.shape, tensor.stride()


def _hooks(module: nn.Module, weights: Sequence[Any]) -> list[Any]:
    found = [module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks]
    return [*found, *(hooks for each in weights for hooks in (each._backward_hooks, each._post_accumulate_grad_hooks))]


def _is_plain(value: Any) -> bool:
    return isinstance(value, (int, float, str)) or (
        isinstance(value, tuple) and all(each is None or _is_plain(each) for each in value)
    )


def _random_states() -> list[Any]:
    """The states of all generators on the CPU that any code may draw from."""
    of_numpy: Any = np.random.get_state()
    return [torch.get_rng_state().tolist(), python_random.getstate(), of_numpy[1].tolist(), of_numpy[2]]
