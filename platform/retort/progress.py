"""How long work reports its progress: one callable, which stages call and the command line draws.

A stage gives its name, how much is done, how much there is in all (None: unknown), and perhaps a note. Nothing here prints.
"""

from typing import Protocol

__all__ = ["Progress", "silent"]


class Progress(Protocol):
    """Called by a stage whenever it got further, and once with a note when it was skipped."""

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Report that ``done`` of ``total`` units of ``stage`` are finished."""
        ...


def silent(stage: str, done: int, total: int | None, note: str = "") -> None:
    """A progress that shows nothing."""
