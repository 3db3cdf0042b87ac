"""What the clock says of a run: images a second and memory, into `timing.jsonl`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil

from ganzoo.callbacks import Callback, Run
from ganzoo.runs.folder import RunFolder
from ganzoo.settings import Settings
from ganzoo.training.checkpoint import TrainingState
from ganzoo.training.doctor import MemoryWatch


class Clock(Callback):
    """Writes speed and memory in use beside each line of losses; says so if memory grows too much."""

    def __init__(self, folder: RunFolder, settings: Settings, state: TrainingState, say: Callable[[str], None]) -> None:
        self._folder, self._settings, self._state, self._say = folder, settings, state, say
        self._memory_watch = MemoryWatch()

    def on_start(self, run: Run) -> None:
        self._before = self._state.summed  # steps since the last line of the log, which another process made
        self._start = time.perf_counter()

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        if "generator_loss" not in entry:
            return
        now, state = time.perf_counter(), self._state
        memory = psutil.Process().memory_info()._asdict()
        mapped = memory.get("shared", 0)  # images mapped from the cache among it, which the machine takes back at need
        speed = round((state.summed - self._before) * self._settings.batch_size / (now - self._start), 1)
        self._folder.time(step=state.step, images_per_second=speed, memory_mb=memory["rss"] >> 20)
        self._start, self._before = now, 0
        if self._settings.doctor_every and (remark := self._memory_watch(state.step, (memory["rss"] - mapped) >> 20)):
            self._say(remark.sentence())
