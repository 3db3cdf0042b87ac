"""Device, precision and processes of a run: the one place that talks to Accelerate."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from ganzoo.errors import MissingExtraError, TrainingError, quote
from ganzoo.hardware import fast_bfloat16, full_float32, send
from ganzoo.runs.folder import train_on_command
from ganzoo.runs.metadata import RuntimeConfig
from ganzoo.settings import Settings

_KEPT = {f"ACCELERATE_{name}" for name in ("USE_CPU", "TORCH_DEVICE", "MIXED_PRECISION", "CPU_AFFINITY", "DEBUG_MODE")}
_SWITCHED_OFF = {  # what `accelerate launch` sets, its usual value, and what to do instead of another
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("1", "set accumulate=N, parts in which each batch is computed"),
    "ACCELERATE_DYNAMO_BACKEND": ("no", "compile a network in place: generator.compile()"),
}
_SPLIT = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # launches that Accelerate knows and this trainer does not
_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # by launchers
_ACCELERATE = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}


class _ForwardProxy(nn.Module):
    """What Accelerate patches and wraps in place of the user's network, which stays as it is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(*inputs)


@contextmanager
def _own_settings() -> Iterator[None]:
    """Hide what Accelerate would take from its environment for a `with` block: a run has settings of its own, which it
    records and compares. What is switched off by that is said."""
    hidden = {key: os.environ.pop(key) for key in [*os.environ] if key.startswith("ACCELERATE_") and key not in _KEPT}
    try:
        for key, (usual, instead) in _SWITCHED_OFF.items():
            if (value := hidden.get(key, usual)).lower() != usual:
                warnings.warn(f"{key}={value} has no effect on a run of ganzoo; {instead}", stacklevel=5)
        yield
    finally:
        os.environ.update(hidden)


def _check_joined(processes: int) -> None:
    """Raise TrainingError if more processes were launched than train together: each would write into the folder."""
    launched = max((int(size) for name in _SIZES if (size := os.environ.get(name, "")).isdecimal()), default=1)
    if processes < launched:
        raise TrainingError(
            f"{launched} processes are launched, and this one would train alone, into the same folder: Accelerate "
            f"joins processes on GPUs alone unless it is asked to; on CPUs set ACCELERATE_USE_CPU=true."
        )


def _give_device(device: str) -> None:
    """Let Accelerate take `device`, of which it keeps the first one that it finds in a Python process.

    Raises:
        TrainingError: processes that were launched together have devices of their own.
    """
    from accelerate.state import PartialState
    from accelerate.utils import patch_environment

    if torch.distributed.is_initialized() or "LOCAL_RANK" in os.environ:
        raise TrainingError(
            f"device {quote(device)} is given, and several processes are launched, each of which takes a device of its "
            f"own: leave it out; for CPUs set ACCELERATE_USE_CPU=true"
        )
    _forget_device()
    with patch_environment(ACCELERATE_TORCH_DEVICE=device):
        PartialState(cpu=device == "cpu")


def _forget_device() -> None:
    """Let Accelerate look for a device again."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


def _check_asked(settings: Settings) -> None:
    """Raise TrainingError, MissingExtraError if the launch wants what this trainer lacks, or a tracker is missing."""
    from accelerate.utils import parse_flag_from_env

    for name in _SPLIT:
        if parse_flag_from_env(f"ACCELERATE_USE_{name}"):
            raise TrainingError(
                f"ACCELERATE_USE_{name} is set: {name} splits a network over processes, and ganzoo keeps it whole; "
                f"launch with torchrun, or with accelerate launch without {name}."
            )
    for tracker in settings.trackers:
        if find_spec(tracker) is None:
            raise MissingExtraError(f"trackers: {tracker} is not installed; pip install {tracker}")


def _precision(settings: Settings) -> str:
    """The precision of a new run: "auto" is the launch's, if it says one, else what the device is quick at."""
    if settings.precision != "auto":
        return settings.precision
    launched, found = os.environ.get("ACCELERATE_MIXED_PRECISION", ""), _found_device()
    chosen = {name: ours for ours, name in _ACCELERATE.items()}.get(launched)
    return chosen or ("bf16" if fast_bfloat16(found) else "float32")


def _found_device() -> torch.device:
    """The device that Accelerate finds."""
    from accelerate.state import PartialState
    from accelerate.utils import parse_flag_from_env

    # The first state that is made decides on processes, and alone it does not look at this variable.
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).device


def instead_of_cpu(config: RuntimeConfig) -> str | None:
    """The kind of device that Accelerate would take for a run of one process that began on the CPU; None if that is the
    CPU too, if the launch chooses device or processes, or if the run is another one."""
    launched = {"LOCAL_RANK", "ACCELERATE_TORCH_DEVICE"} & os.environ.keys() or torch.distributed.is_initialized()
    if launched or config.device != "cpu" or config.processes > 1 or (found := _found_device().type) == "cpu":
        return None
    return found


class Runtime:
    """Runs a training on whatever Accelerate finds: CPU, CUDA, MPS; one process or several.

    Args:
        settings: of the run.
        config: of a run that is resumed; None resolves `auto` by rule.
        folder: of the run, where trackers put their files.
        device: to train on; None for what Accelerate finds.

    Attributes:
        rank: number of this process, from 0. is_main: whether it writes the run's files.
        scaler: of losses in fp16, lest gradients vanish; a state of the run. None in other precisions.

    Raises:
        TrainingError: the precision or number of processes can't be had here.
        MissingExtraError: a tracker is not installed.
    """

    def __init__(
        self,
        settings: Settings,
        config: RuntimeConfig | None = None,
        folder: Path | None = None,
        device: str | None = None,
    ) -> None:
        self._device_given = device is not None
        _check_asked(settings)
        if device is not None:
            _give_device(device)
        try:
            self._start(settings, config, folder)
        except Exception:
            if self._device_given:  # or the next run would have it
                _forget_device()
            raise

    def _start(self, settings: Settings, config: RuntimeConfig | None, folder: Path | None) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.state import AcceleratorState

        precision = config.precision if config else _precision(settings)
        # A second run in one Python may want another precision; Accelerate keeps the first one's until told.
        AcceleratorState._reset_state(reset_partial_state=False)
        # Buffers are averaged at checkpoints instead: broadcasting them in place breaks two passes before one backward.
        with _own_settings():
            self._accelerator = Accelerator(
                mixed_precision=_ACCELERATE[precision],
                kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)],
                log_with=list(settings.trackers) or None,
                project_dir=folder / "trackers" if folder else None,
            )
        self.rank, self.is_main = int(self._accelerator.process_index), bool(self._accelerator.is_main_process)
        self.scaler: GradScaler | None = self._accelerator.scaler
        _check_joined(self.processes)
        self.device: torch.device = self._accelerator.device
        self._speed = settings.speed
        if precision == "fp16" and self.device.type != "cuda":
            choose = (
                f"go on with the run on one, or begin a new one here: {train_on_command(folder)}"
                if config and folder
                else "choose bf16."
            )
            raise TrainingError(f"precision fp16 needs a CUDA device, this is {self.device.type}; {choose}")
        if config and config.processes != self.processes:
            raise TrainingError(
                f"the run was begun with {config.processes} processes, this is {self.processes}; launch as many."
            )
        rule = "channels_last" if settings.speed == "auto" and self.device.type in ("cpu", "cuda") else "contiguous"
        self.config = config or RuntimeConfig(
            device=self.device.type,
            precision=precision,  # type: ignore[arg-type]  # never "auto" by now
            memory_format=rule,  # type: ignore[arg-type]
            threads=torch.get_num_threads(),
            processes=self.processes,
        )
        self.memory_format = getattr(torch, self.config.memory_format.replace("contiguous", "contiguous_format"))

    @property
    def processes(self) -> int:
        """How many processes share the run."""
        return int(self._accelerator.num_processes)

    def seed(self, value: int) -> None:
        """Seed torch's global random state: the CPU's and the device's, no other device's."""
        torch.default_generator.manual_seed(value)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(value)

    def random_kept(self) -> AbstractContextManager[None]:
        """A `with` block after which torch's global random state is as it was, the CPU's and the device's."""
        devices = [self.device] if self.device.type != "cpu" else []
        return torch.random.fork_rng(devices, device_type=self.device.type)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """A `with` block in which CUDA computes as the setting `speed` says.

        auto: convolutions in TF32, by kernels that are tried against each other. exact: everything in full float32, by
        kernels that give the same bits each time, if torch has some; it warns of the others.
        """
        if self.device.type != "cuda":
            yield
            return
        exact, before = self._speed == "exact", torch.get_deterministic_debug_mode()
        cudnn: Any = torch.backends.cudnn
        kernels = cudnn.benchmark, cudnn.deterministic
        # Random states, streams and graphs are those of the current device.
        with torch.cuda.device(self.device), full_float32(self.device, exact):
            # not by cudnn.flags, which switches TF32 too
            cudnn.benchmark, cudnn.deterministic = not exact, exact
            torch.use_deterministic_algorithms(exact or before > 0, warn_only=before < 2)
            try:
                yield
            finally:
                torch.set_deterministic_debug_mode(before)
                cudnn.benchmark, cudnn.deterministic = kernels

    def place(self, network: nn.Module) -> nn.Module:
        """Move `network` to the device, in the run's memory format."""
        return network.to(self.device).to(memory_format=self.memory_format)

    def prepare(self, network: nn.Module, optimizer: Optimizer) -> tuple[Callable[..., Tensor], Optimizer]:
        """How to call `network` in training (autocast, gradients shared between processes), and its optimizer."""
        with warnings.catch_warnings():
            # Accelerate does not know the new name yet. Buffers need no exchange at the start: all draw the same.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            call, prepared = self._accelerator.prepare(_ForwardProxy(network), optimizer)
        return call, prepared

    def autocast(self, network: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """How to call `network` in the run's precision without sharing gradients; outputs are float32."""

        def call(*inputs: Tensor) -> Tensor:
            with self._accelerator.autocast():
                output: Tensor = network(*inputs)
            wrong = not isinstance(output, Tensor) or not output.is_floating_point()  # the trial says so
            return output if wrong else output.float()

        return call

    def send(self, tensor: Tensor) -> Tensor:
        """`tensor` on the device; images in the run's memory format."""
        return send(tensor, self.device, self.memory_format if tensor.dim() == 4 else torch.preserve_format)

    @property
    def captures(self) -> bool:
        """Whether steps may run as CUDA graphs."""
        return self.device.type == "cuda" and self._speed == "auto"

    @property
    def memory_for_images(self) -> int:
        """Bytes of the device that real images may take, a quarter of what is free; 0 if they are there anyway."""
        return torch.cuda.mem_get_info(self.device)[0] // 4 if self.device.type == "cuda" else 0

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, scaled if the precision needs it."""
        self._accelerator.backward(loss)

    def clip(self, optimizer: Optimizer, norm: float) -> None:
        """Scale the gradients of `optimizer` down to `norm` at most."""
        self._accelerator.unscale_gradients(optimizer)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, norm)

    def mean(self, figures: Tensor) -> Tensor:
        """The mean of `figures` over all processes."""
        return self._accelerator.reduce(figures, "mean") if self.processes > 1 else figures

    def average_buffers(self, networks: Iterable[nn.Module]) -> None:
        """Make float buffers (batch norm's statistics) equal on all processes: their mean."""
        if self.processes > 1:
            for network in networks:
                for buffer in network.buffers():
                    if buffer.is_floating_point():
                        buffer.copy_(self.mean(buffer))

    def agree(self, value: Any) -> Any:
        """The main process's `value`, on all processes."""
        if self.processes == 1:  # of one process too, NCCL would wait for the device
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, the main one's first."""
        if self.processes == 1:
            return [value]
        from accelerate.utils import gather_object

        return list(gather_object([value]))

    def begin_tracking(self, name: str, settings: Settings) -> None:
        """Open the trackers of `settings`, with a run called `name`; all runs are of the project "ganzoo"."""
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        flat = {
            key: value if isinstance(value, (int, float, str)) else str(value)
            for key, value in settings.to_dict().items()
        }
        # Accelerate has one name for all: a folder to TensorBoard, to the others a project.
        self._accelerator.log_with = [
            kind if str(kind) == "tensorboard" else LOGGER_TYPE_TO_CLASS[str(kind)]("ganzoo", name=name)
            for kind in self._accelerator.log_with
        ]
        self._accelerator.init_trackers(name, config=flat)

    def track(self, figures: dict[str, Any], step: int) -> None:
        """Hand the numbers among `figures` to the trackers."""
        numbers = {name: value for name, value in figures.items() if type(value) in (int, float) and name != "step"}
        self._accelerator.log(numbers, step=step)

    def wait(self) -> None:
        """Until all processes are here."""
        self._accelerator.wait_for_everyone()

    def close(self) -> None:
        """Close the trackers; forget the networks and optimizers."""
        for tracker in self._accelerator.trackers:  # end_training would take the process group away too
            tracker.finish()
        self._accelerator.free_memory()
        if self._device_given and self.processes == 1:
            _forget_device()
