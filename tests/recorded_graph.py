"""What stands for a CUDA graph on the CPU: the operations that a function called, repeated on the same memory.

As with a graph, Python does not run again, and numbers that it passed to operations stay what they were.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Recorder(TorchDispatchMode):
    def __init__(self, repeatable):
        super().__init__()
        self.calls, self.waits, self._repeatable = [], 0, repeatable

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        if operation is torch.ops.aten._local_scalar_dense.default:
            self.waits += 1
            if self._repeatable:
                raise RuntimeError("operation not permitted when stream is capturing")
        made = operation(*arguments, **(options or {}))
        if operation.namespace != "profiler":
            self.calls.append((operation, arguments, options or {}, made))
        return made


class RecordedGraph:
    captured = 0  # in a test

    def __init__(self):
        self._calls, self._done = [], True

    @staticmethod
    def warm(function):
        with _Recorder(repeatable=False) as recorder:
            made = function()
        return made, ["custom.py, line 7"] * recorder.waits

    def capture(self, function):
        with _Recorder(repeatable=True) as recorder:
            made = function()
        self._calls, self._done = recorder.calls, True  # unlike a device, it computed already
        RecordedGraph.captured += 1
        return made

    @torch.no_grad()
    def replay(self):
        if not self._done:
            for operation, arguments, options, before in self._calls:
                made = operation(*arguments, **options)
                for old, new in _new_tensors(operation, before, made):
                    old.copy_(new)
        self._done = False


class RepeatedGraph(RecordedGraph):
    """For sampling, where computing twice does no harm: as on a device, the first repetition computes too."""

    def capture(self, function):
        made = super().capture(function)
        self._done = False
        return made


def _new_tensors(operation, before, made):
    """Pairs of what `operation` gave then and now, but for views and what it changed in place."""
    returns = operation._schema.returns
    if len(returns) == 1:  # a tensor, or a list of them
        before, made = ([each] if isinstance(each, torch.Tensor) else each or [] for each in (before, made))
        returns = [returns[0]] * len(made)
    for old, new, returned in zip(before or (), made or (), returns, strict=True):
        if returned.alias_info is None and isinstance(old, torch.Tensor):
            yield old, new
