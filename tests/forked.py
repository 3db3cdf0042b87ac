"""What children of a fork server run, which has imported torch and ganzoo once for all of them."""

import os
import runpy
import sys
from pathlib import Path

import ganzoo.runs.export

ganzoo.runs.export.SAMPLES = 100  # as in tests/conftest.py


def run_file(path: Path, arguments: list[str], folder: Path, output: Path, environment: dict[str, str]) -> None:
    """Run a Python file as a command in `folder`; what it prints, errors too, goes to `output`."""
    with open(output, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(path.parent))
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name="__main__")
