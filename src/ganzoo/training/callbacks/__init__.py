"""Callbacks of a training: those it is given, and its own."""

from collections.abc import Callable
from typing import Any

Note = Callable[[dict[str, Any]], None]  # writes a line of the log, and shows it to callbacks
