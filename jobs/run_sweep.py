"""Sweep one search space and print its Pareto front.

The same as `retort sweep`, for a cluster on which Retort is not installed:

    ray job submit --working-dir . --runtime-env-json '{"env_vars": {"PYTHONPATH": "platform"}}' -- \
        python jobs/run_sweep.py search_spaces/pareto.yaml --workspace s3://bucket/workspace --concurrent 16

Every argument of `retort sweep --help` is taken. With token authentication, RAY_AUTH_MODE=token is set on both sides.

Exit status: 0 every trial finished, 1 some failed, or were lost to machines that failed (`--resume` runs those), 2 the search
space or what it needs is wrong and nothing was started.
A job that was stopped exits with 143 (SIGTERM) or 130 (SIGINT).
"""

import sys
from collections.abc import Sequence

from retort.cli import main as retort


def main(argv: Sequence[str] | None = None) -> int:
    return retort(["sweep", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
