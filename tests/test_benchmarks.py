"""The benchmarks run, and the tables of docs/benchmarks.md are what their lines say. No time is asserted."""

import json
import os
import sys
from pathlib import Path

import pytest

from forked import run_file

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))
import tables  # noqa: E402


def test_the_tables_of_the_page_are_what_the_lines_say():
    assert tables.page(tables.PAGE.read_text(), BENCHMARKS / "results") == tables.PAGE.read_text()


def test_the_newest_of_equal_lines_stands_in_the_table_with_its_spread_and_command():
    facts = {
        "machine": "a machine", "threads": 2, "torch": "2", "date": "2026-01-01", "command": "python x.py",
        "GFLOP/s": {"float32": 1234.0, "bf16": None},
    }  # fmt: skip
    lines = [{"axis": "batch", "value": 8, "ms an image": [value, 0.5, 2.0], **facts} for value in (9.0, 1.0)]
    found = tables.markdown("scaling", lines)
    assert "| batch | 8 | 1 (0.5-2) |" in found and "9 (" not in found
    assert "a machine, 2 threads, torch 2, 2026-01-01; matrix peak in float32 1,234 GFLOP/s, in bf16 none" in found
    assert found.endswith("```\npython x.py\n```")


@pytest.mark.slow
@pytest.mark.parametrize("name", tables.TABLES)
def test_a_benchmark_writes_lines_that_make_a_table(children, name, tmp_path):
    environment = {**os.environ, "GANZOO_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    words = ["--quick", "--output", str(tmp_path)]
    said = tmp_path / "said"
    child = children.Process(target=run_file, args=(BENCHMARKS / f"{name}.py", words, Path.cwd(), said, environment))
    child.start()
    child.join(300)
    assert child.exitcode == 0, said.read_text()[-2000:]
    rows = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
    assert all(
        row["command"].startswith(f"python benchmarks/{name}.py") and "float32" in row["GFLOP/s"] for row in rows
    )
    text = tables.page(f"<!-- {name} --><!-- end of {name} -->", tmp_path)
    assert text.count("\n| ") > 2 or text.count("| ") > 6
