"""What the clock says of a run: images a second and memory, into `timing.jsonl`."""

from __future__ import annotations

import time

import psutil  # comes with Accelerate

from ganzoo.settings import Settings
from ganzoo.training.checkpoint import TrainingState, checkpoints
from ganzoo.training.doctor import MemoryWatch, Remark
from ganzoo.training.run import RunFolder


class Clock:
    """Runs from when it is made, or last noted."""

    def __init__(self, run: RunFolder, settings: Settings) -> None:
        self._run, self._settings = run, settings
        self._memory_watch, self._start = MemoryWatch(), time.perf_counter()
        self._saved = [int(folder.name.removeprefix("step-")) for folder in checkpoints(run.path)]

    def note(self, state: TrainingState) -> Remark | None:
        """Write speed since the last note and memory in use; return the doctor's remark on memory, if there is one."""
        now = time.perf_counter()
        memory = psutil.Process().memory_info()._asdict()
        mapped = memory.get("shared", 0)  # images mapped from the cache among it, which the machine takes back at need
        began = max((step for step in self._saved if step < state.step), default=0)  # where this process went on from
        steps = min(state.summed, state.step - began)  # a checkpoint's sums hold steps of the process before
        speed = round(steps * self._settings.batch_size / (now - self._start), 1)
        self._run.time(step=state.step, images_per_second=speed, memory_mb=memory["rss"] >> 20)
        self._start = now
        return self._memory_watch(state.step, (memory["rss"] - mapped) >> 20) if self._settings.doctor_every else None
