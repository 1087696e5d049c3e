"""Measure a student or a baseline on a split.

The same as `retort evaluate`, for a cluster on which Retort is not installed:

    ray job submit --working-dir . --runtime-env-json '{"env_vars": {"PYTHONPATH": "platform"}}' -- \
        python jobs/evaluate_student.py RUN --workspace s3://bucket/workspace --split dev

Every argument of `retort evaluate --help` is taken. With token authentication, RAY_AUTH_MODE=token is set on both sides.

Exit status: 0 done, 1 something failed while running, 2 the input or the configuration is wrong and nothing was started.
A job that was stopped exits with 143 (SIGTERM) or 130 (SIGINT).
"""

import sys
from collections.abc import Sequence

from retort.cli import main as retort


def main(argv: Sequence[str] | None = None) -> int:
    return retort(["evaluate", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
