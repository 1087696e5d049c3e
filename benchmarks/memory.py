"""Peak memory of a command and everything that it starts, as summed PSS (shared pages counted once).

    python benchmarks/memory.py retort prepare experiment.yaml --workspace workspace

Ray's daemons and workers are counted: they are found by the process tree. Linux only. The command's exit status is passed on.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil

INTERVAL_SECONDS = 0.25


def tree_pss(root: psutil.Process) -> tuple[int, int]:
    """Summed PSS in bytes of a process and its descendants, and how many they are."""
    total = count = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
            count += 1
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended between the listing and the reading
    return total, count


@dataclass(frozen=True)
class Peak:
    """Result of a command: exit status, peak PSS in bytes and the number of processes at that time, seconds."""

    status: int
    pss: int
    processes: int
    seconds: float


def peak_of(command: Sequence[str], **popen: Any) -> Peak:
    """Run a command to its end and measure it."""
    started = time.monotonic()
    process = psutil.Popen(command, **popen)
    peak, processes = 0, 0
    while process.poll() is None:
        try:
            pss, count = tree_pss(psutil.Process(process.pid))
        except psutil.NoSuchProcess:
            break
        if pss > peak:
            peak, processes = pss, count
        time.sleep(INTERVAL_SECONDS)
    return Peak(int(process.wait()), peak, processes, time.monotonic() - started)


def main(argv: Sequence[str] | None = None) -> int:
    command = list(sys.argv[1:] if argv is None else argv)
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    took = peak_of(command)
    summary = f"peak PSS {took.pss / 2**30:.2f} GiB over {took.processes} processes, {took.seconds:.1f} s"
    print(summary, file=sys.stderr)
    return took.status


if __name__ == "__main__":
    sys.exit(main())
