"""What a person sees: progress and errors, on standard error and standard output.

On a terminal a stage is a bar; into a file or a log it is a line now and then. ``--json`` leaves standard output to one
document, everything else goes to standard error.
"""

import json
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

__all__ = ["TerminalProgress", "print_json"]

LINE_SECONDS = 10.0  # between two lines of one stage where there is no terminal


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n")


class TerminalProgress:
    """Draws what is reported through ``retort.progress.Progress``; a context manager, since bars must be taken down."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False)
        self._drawn = self._console.is_terminal
        self._bars = Bars(
            TextColumn("[bold]{task.fields[stage]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._drawn,
        )
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> "TerminalProgress":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """See ``retort.progress.Progress``."""
        if self._drawn:
            self._draw(stage, done, total, note)
        else:
            self._write(stage, done, total, note)

    def _draw(self, stage: str, done: int, total: int | None, note: str) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, stage=stage, note=note)
        values: dict[str, Any] = {"completed": done, "total": total}
        if note:
            values["note"] = note
        self._bars.update(self._tasks[stage], **values)

    def _write(self, stage: str, done: int, total: int | None, note: str) -> None:
        now = time.monotonic()
        ended = total is not None and done >= total
        # A sweep's every trial is worth a line; a training's every step is not.
        if not ended and stage != "sweep" and now - self._last.get(stage, float("-inf")) < LINE_SECONDS:
            return
        self._last[stage] = now
        reached = f"{done:,}" if total is None else f"{done:,} of {total:,}"
        self._console.print(f"{stage}: {reached}{f'  {note}' if note else ''}", soft_wrap=True, markup=False)
