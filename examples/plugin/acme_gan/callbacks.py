"""The callback "acme.counter"."""

from __future__ import annotations

from typing import Any

from ganzoo.training import Callback


class Counter(Callback):
    """Counts steps, halves the learning rates at `slow_at` and stops the run at `stop_at` (0: never).

    The count is in checkpoints, so that a resumed run counts on.
    """

    def __init__(self, *, stop_at: int = 0, slow_at: int = 0) -> None:
        self.stop_at, self.slow_at, self.count = stop_at, slow_at, 0

    def on_step(self, run: Any) -> None:
        self.count += 1
        run.log("count", self.count)
        if self.count == self.slow_at:
            run.scale_learning_rates(generator=0.5, discriminator=0.5)
        if self.count == self.stop_at:
            run.stop(f"counted to {self.count}")

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
