"""Where tables are printed: a terminal as wide as it is, or a pipe."""

import sys

from rich.console import Console

__all__ = ["table_console"]


def table_console(*, to_stderr: bool = False) -> Console:
    """A console for tables; 100 columns where the output is no terminal."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else 100
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)
