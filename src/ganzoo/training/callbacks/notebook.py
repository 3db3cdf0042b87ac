"""What a notebook shows of a run: one picture, drawn anew as it goes on, of figures, curves and the newest samples."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ganzoo.callbacks import Callback, Run
from ganzoo.runs.curves import picture
from ganzoo.text import duration, number

EVERY = 2  # seconds between two drawings, at least
WIDTH, LINE, MARGIN = 770, 24, 12  # pixels; as wide as the curves


class NotebookDisplay(Callback):
    """Shows step, speed, time left, both losses, score, curves and the newest sample grid, in one output."""

    def __init__(self, steps: int, batch_size: int, samples: Path) -> None:
        self._steps, self._batch_size, self._samples = steps, batch_size, samples
        self._losses: list[tuple[int, float, float]] = []
        self._score = ""
        self._drawn = 0.0

    def on_start(self, run: Run) -> None:
        from IPython.display import display

        self._first, self._begun = run.step, time.perf_counter()
        self._handle = display(self._shown(run.step), raw=True, display_id=True)

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        if "discriminator_loss" in entry:
            while self._losses and self._losses[-1][0] >= run.step:  # the run went back
                self._losses.pop()
            self._losses.append((run.step, entry["discriminator_loss"], entry["generator_loss"]))
        if "score" in entry:
            best = run.settings.keep == "best" and entry.get("best")  # if the last is kept, all are logged as best
            self._score = f"score {number(entry['score'])}" + ", the best so far" * bool(best)
        if time.perf_counter() - self._drawn > EVERY:
            self._draw(run)

    def on_end(self, run: Run) -> None:
        self._draw(run)

    def _draw(self, run: Run) -> None:
        if self._handle:  # none if nothing draws
            self._handle.update(self._shown(run.step), raw=True)
        self._drawn = time.perf_counter()

    def _shown(self, step: int) -> dict[str, str]:
        """The output in the formats that a notebook chooses from: as PNG, as text."""
        lines, buffer = self._lines(step), io.BytesIO()
        self._figure(lines).save(buffer, "PNG")
        return {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": "; ".join(lines)}

    def _lines(self, step: int) -> list[str]:
        lines = [f"step {step:,} of {self._steps:,}"]
        took = time.perf_counter() - self._begun
        if made := step - self._first:
            lines[0] += f", {number(made * self._batch_size / took)} images/s"
            if step < self._steps:
                lines[0] += f", about {duration(took / made * (self._steps - step))} left"
        if self._losses:
            _, discriminator, generator = self._losses[-1]
            lines.append(f"losses: discriminator {discriminator:.3f}, generator {generator:.3f}")
            lines[1] += f"; {self._score}" if self._score else ""
        return lines

    def _figure(self, lines: list[str]) -> Image.Image:
        names = ("discriminator", "generator")
        curves = {name: [(row[0], row[index]) for row in self._losses] for index, name in enumerate(names, 1)}
        parts = [picture(curves, last_step=self._steps)] if self._losses else []
        grids = sorted(self._samples.glob("step-*.png"), key=lambda path: (len(path.name), path.name))  # of any step
        for path in grids[-1:]:
            with Image.open(path) as grid:
                scale = max(1, WIDTH // grid.width)
                parts.append(grid.resize((scale * grid.width, scale * grid.height), Image.Resampling.NEAREST))
        top = MARGIN + LINE * len(lines)
        height = top + sum(part.height + MARGIN for part in parts)
        figure = Image.new("RGB", (max([WIDTH, *(part.width for part in parts)]), height), "white")
        for index, line in enumerate(lines):
            ImageDraw.Draw(figure).text((MARGIN, MARGIN + LINE * index), line, "black", ImageFont.load_default(16))
        for part in parts:
            figure.paste(part, ((figure.width - part.width) // 2, top + MARGIN // 2))
            top += part.height + MARGIN
        return figure
