"""A network as an ONNX file, by torch's exporter, and as onnxruntime runs it."""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.errors import ConfigError, first_line, is_out_of_memory, needs, quote
from ganzoo.text import own_version

OPSET = 18  # of 2022: the first that torch's exporter writes by itself, so that old runtimes read it too
LARGEST_FILE = 2**31  # bytes: an ONNX file is one protocol buffer
_REMEDY = (
    "its forward must use operators that ONNX has, for batches of any size (x.shape[0], not len(x)), and ask for no "
    "value of a tensor"
)


def to_onnx(
    network: nn.Module, inputs: Mapping[str, Tensor], output: str, facts: Mapping[str, Any], what: str
) -> bytes:
    """The content of an ONNX file that computes `network`, in evaluation mode, for batches of any size.

    Neither times nor paths go into it, so that equal weights give equal files.

    Args:
        inputs: examples of what `network` is called with, by the names that they get; two rows or more.
        output: the name of what it returns, one tensor.
        facts: of JSON types, kept as the file's metadata under the key "ganzoo".
        what: the network, in the words of an error.

    Raises:
        MissingExtraError: onnxscript is not installed.
        ConfigError: `network` can't be exported, or is too large.
    """
    with needs("onnxscript is not installed; ONNX needs it", "onnx"):
        import onnxscript  # noqa: F401 - torch's exporter needs it
    size = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    if size >= LARGEST_FILE:
        raise ConfigError(f"the network has {size:,} bytes; an ONNX file holds {LARGEST_FILE:,} at most: try half")
    try:
        # What it prints and warns of are internals of torch, of which a user can change nothing.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                network.eval(),
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple({0: "batch"} for _ in inputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        if is_out_of_memory(error):
            raise
        cause: BaseException = error
        while cause.__cause__ is not None:  # the exporter's own report comes first, what stopped it last
            cause = cause.__cause__
        raise ConfigError(f"{what} can't be written as ONNX ({quote(first_line(cause), 200)}); {_REMEDY}") from error
    model = program.model
    for node in model.graph.all_nodes():  # lines of source files on this machine
        node.metadata_props.clear()
        node.doc_string = None
    model.producer_name, model.producer_version = "ganzoo", own_version()
    model.metadata_props["ganzoo"] = json.dumps(facts, sort_keys=True)
    return program.model_proto.SerializeToString(deterministic=True)


def run_onnx(content: bytes, inputs: Mapping[str, Tensor]) -> Tensor:
    """What onnxruntime computes on the CPU from `content`, the one output of a file that `to_onnx` gave.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    with needs("onnxruntime is not installed; ONNX needs it", "onnx"):
        import onnxruntime
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in inputs.items()})[0])


def fingerprint(network: nn.Module) -> str:
    """sha256 of the names and numbers of `network`: the same before it was saved in float32 and after."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        value = value.float() if value.is_floating_point() else value
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def largest_difference(one: Tensor, other: Tensor) -> float:
    """The largest difference of two tensors of numbers; infinite if their shapes differ, or one holds NaN."""
    if one.shape != other.shape:
        return math.inf
    found = float((one - other).abs().max())
    return found if math.isfinite(found) else math.inf
