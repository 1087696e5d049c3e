"""Peak memory of a command and everything that it starts, as summed PSS (shared pages counted once).

    python benchmarks/memory.py retort prepare experiment.yaml --workspace workspace

Ray's daemons and workers are counted: they are found by the process tree. Linux only. The command's exit status is passed on.
"""

import sys
import time
from collections.abc import Sequence

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


def main(argv: Sequence[str] | None = None) -> int:
    command = list(sys.argv[1:] if argv is None else argv)
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    started = time.monotonic()
    process = psutil.Popen(command)
    peak, processes = 0, 0
    while process.poll() is None:
        try:
            pss, count = tree_pss(psutil.Process(process.pid))
        except psutil.NoSuchProcess:
            break
        if pss > peak:
            peak, processes = pss, count
        time.sleep(INTERVAL_SECONDS)
    seconds = time.monotonic() - started
    print(f"peak PSS {peak / 2**30:.2f} GiB over {processes} processes, {seconds:.1f} s", file=sys.stderr)
    return int(process.wait())


if __name__ == "__main__":
    sys.exit(main())
