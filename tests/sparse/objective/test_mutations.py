"""Deliberate faults in losses, regularisers and sampling: each must make the tests of these modules fail.

Each fault is put into a copy of the package, and those tests are run against the copy in a process of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "platform" / "retort"

FAULTS = {
    "the KLD's direction": (
        "losses",
        "F.kl_div(student_log_shares, teacher_log_shares,",
        "F.kl_div(teacher_log_shares, student_log_shares,",
    ),
    "the teacher is not detached": (
        "losses",
        "teacher = teacher_scores.detach().float() / temperature",
        "teacher = teacher_scores.float() / temperature",
    ),
    "a mean over candidates instead of their sum": (
        "losses",
        'reduction="none", log_target=True).sum(dim=1)',
        'reduction="none", log_target=True).mean(dim=1)',
    ),
    "the softmax over turns instead of candidates": (
        "losses",
        "F.log_softmax(teacher + weights, dim=1)",
        "F.log_softmax(teacher + weights, dim=0)",
    ),
    "FLOPS as a mean of squares": (
        "regularizers",
        "queries.detach().abs().float().sum(dim=0) / batch",
        "(queries.detach().float().square().sum(dim=0) / batch).sqrt()",
    ),
    "the rank window off by one": (
        "sampling",
        "    low, high = window\n",
        "    low, high = window[0] + 1, window[1] + 1\n",
    ),
    "expected FLOPS without the passages' share": (
        "regularizers",
        "queries.abs() @ passage_share",
        "queries.abs() @ torch.ones_like(passage_share)",
    ),
    "importance weights with the wrong sign": (
        "sampling",
        "-np.log(count * shares[drawn])",
        "np.log(count * shares[drawn])",
    ),
}


def run_tests(directory: Path, module: str) -> subprocess.CompletedProcess[str]:
    """Run the module's tests against the copy of the package in a directory."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={directory}"]
    environment = {**os.environ, "PYTHONPATH": str(directory), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, f"tests/sparse/objective/test_{module}.py"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def copied(directory: Path) -> Path:
    shutil.copytree(PACKAGE, directory / "retort", ignore=shutil.ignore_patterns("__pycache__"))
    return directory / "retort" / "sparse" / "objective"


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(tmp_path, fault):
    module, right, wrong = FAULTS[fault]
    path = copied(tmp_path) / f"{module}.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(right) == 1, f"the code has changed; say the fault anew: {right}"
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    run = run_tests(tmp_path, module)

    assert run.returncode == 1, run.stdout  # 1: tests failed; anything else is no verdict
    assert "AssertionError" in run.stdout and " failed" in run.stdout


@pytest.mark.slow
def test_without_a_fault_the_copys_tests_pass(tmp_path):
    copied(tmp_path)
    run = run_tests(tmp_path, "regularizers")

    assert run.returncode == 0, run.stdout
