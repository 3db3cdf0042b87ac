"""Turn Ctrl-C and SIGTERM into a flag that the loop polls between steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """A `with` block in which the two signals set `wished`; a second Ctrl-C stops at once, as it always does.

    Outside the main thread Python lets nobody catch signals, and nothing is changed.
    """

    def __init__(self) -> None:
        self.wished = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._wish)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what `signal` gave before

    def _wish(self, number: int, frame: FrameType | None) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
