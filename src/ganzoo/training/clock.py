"""What the clock says of a run: images a second and memory, into `timing.jsonl`."""

from __future__ import annotations

import time

import psutil

from ganzoo.runs.folder import RunFolder
from ganzoo.settings import Settings
from ganzoo.training.checkpoint import TrainingState
from ganzoo.training.doctor import Finding, MemoryWatch


class Clock:
    """Runs from when it is made, or last noted.

    Args:
        summed: steps since the last line of the log, which the process before this one made.
    """

    def __init__(self, run: RunFolder, settings: Settings, summed: int = 0) -> None:
        self._run, self._settings, self._before = run, settings, summed
        self._memory_watch, self._start = MemoryWatch(), time.perf_counter()

    def note(self, state: TrainingState) -> Finding | None:
        """Write speed since the last note and memory in use; return the doctor's remark on memory, if there is one."""
        now = time.perf_counter()
        memory = psutil.Process().memory_info()._asdict()
        mapped = memory.get("shared", 0)  # images mapped from the cache among it, which the machine takes back at need
        speed = round((state.summed - self._before) * self._settings.batch_size / (now - self._start), 1)
        self._run.time(step=state.step, images_per_second=speed, memory_mb=memory["rss"] >> 20)
        self._start, self._before = now, 0
        return self._memory_watch(state.step, (memory["rss"] - mapped) >> 20) if self._settings.doctor_every else None
