"""Deliberate faults in losses, regularisers and sampling: each must make the tests of these modules fail.

Each fault is put into a copy of these modules, and their tests are run against the copy in a process of its own. The
processes are forks of one that has imported the libraries that those tests need, and nothing of the package: torch,
transformers and sentence-transformers take ten times as long as the tests.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "platform" / "retort"
MUTATED = Path("sparse", "objective")  # the folder of all faults

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


FORKS = """
import os, sys

import numpy, pydantic, pyarrow, pytest, scipy.stats, torch, yaml
import sentence_transformers.sparse_encoder.losses

assert "retort" not in sys.modules, "a fork is to import the copy"
for line in sys.stdin:
    directory, output, *words = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        file = os.open(output, os.O_CREAT | os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.path.insert(0, directory)
        code = int(pytest.main(words))
        sys.stdout.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Ran:
    """How a run of tests ended, and what it printed."""

    code: int
    out: str


@pytest.fixture(scope="module")
def run_tests() -> Iterator[Callable[[Path, str], Ran]]:
    """Runs a module's tests against the copy of the package in a directory."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as forks:

        def run(directory: Path, module: str) -> Ran:
            output = directory / "output.txt"
            words = [
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "-W",
                "ignore::pytest.PytestAssertRewriteWarning",
                "-o",
                f"pythonpath={directory}",
            ]
            assert forks.stdin is not None and forks.stdout is not None
            forks.stdin.write(
                "\t".join([str(directory), str(output), *words, f"tests/sparse/objective/test_{module}.py"]) + "\n"
            )
            return Ran(int(forks.stdout.readline()), output.read_text(encoding="utf-8"))

        yield run


def copied(directory: Path) -> Path:
    """The package in a directory: links to the real one, but for the folder of the faults, which is a copy."""
    for folder, copy in ((Path(), MUTATED.parts[0]), (MUTATED.parent, MUTATED.name)):
        (directory / "retort" / folder).mkdir()
        for entry in (PACKAGE / folder).iterdir():
            if entry.name not in (copy, "__pycache__"):
                (directory / "retort" / folder / entry.name).symlink_to(entry)
    target = directory / "retort" / MUTATED
    return Path(shutil.copytree(PACKAGE / MUTATED, target, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(tmp_path, run_tests, fault):
    module, right, wrong = FAULTS[fault]
    path = copied(tmp_path) / f"{module}.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(right) == 1, f"the code has changed; say the fault anew: {right}"
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    ran = run_tests(tmp_path, module)

    assert ran.code == 1, ran.out  # 1: tests failed; anything else is no verdict
    assert "AssertionError" in ran.out and " failed" in ran.out


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted({module for module, _, _ in FAULTS.values()}))
def test_without_a_fault_the_copys_tests_pass(tmp_path, run_tests, module):
    copied(tmp_path)
    ran = run_tests(tmp_path, module)

    assert ran.code == 0, ran.out
