"""The one tree of errors. A message says what is wrong, the value that was got, and the way out.

``InputError`` and what stands below it are the caller's mistakes, found before any long work: the command line exits
with 2. Every other ``RetortError`` is something that failed while running: exit code 1.

A message shows values through :func:`shown` or :func:`excerpt`. What slips through is cut when the error is made, so that
no message is as long as the broken file: the beginning, which says what is wrong, and the end, the way out, are kept.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

__all__ = [
    "ConfigError",
    "DamagedError",
    "DataError",
    "InputError",
    "RetortError",
    "RunError",
    "WorkspaceError",
    "excerpt",
    "shown",
]

SHOWN_CHARACTERS: Final = 200  # of a value: a window's or a list's of names, and no more than three lines of a terminal
WORD_CHARACTERS: Final = 400  # without a blank: longer than the paths that people have
LINE_CHARACTERS: Final = 4000  # a list of twenty runs is half as long
_ELLIPSIS: Final = "..."
_LONG_WORD: Final = re.compile(rf"\S{{{WORD_CHARACTERS + 1},}}")


def excerpt(text: str, characters: int) -> str:
    """The beginning of a text, with an ellipsis where something is missing; at most ``characters`` and the ellipsis."""
    return text if len(text) <= characters else f"{text[:characters]}{_ELLIPSIS}"


def shown(value: object, characters: int = SHOWN_CHARACTERS) -> str:
    """A value as Python writes it, cut; what cannot be written, such as a number of a million digits, by its type."""
    try:
        return excerpt(repr(value), characters)
    except (ValueError, RecursionError):
        return f"a value of type {type(value).__name__} that is too long to show"


def _bounded(message: str) -> str:
    """A message whose words and lines have a bounded length, cut in their middle."""
    if len(message) <= WORD_CHARACTERS:
        return message
    message = _LONG_WORD.sub(lambda found: _without_middle(found[0], WORD_CHARACTERS), message)
    return "\n".join(_without_middle(line, LINE_CHARACTERS) for line in message.split("\n"))


def _without_middle(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    kept = (characters - len(_ELLIPSIS)) // 2
    return f"{text[:kept]}{_ELLIPSIS}{text[-kept:]}"


class RetortError(Exception):
    """Base of every error that Retort raises on purpose."""


class RunError(RetortError):
    """Work that had started failed: a trial, a worker, a stage."""


class InputError(RetortError):
    """The input or the configuration is wrong; nothing was started."""

    def __init__(self, message: object = "") -> None:
        super().__init__(_bounded(str(message)))


class WorkspaceError(InputError):
    """A workspace, or a stage that a command needs, is missing, or holds something else than was asked for."""


class DamagedError(WorkspaceError):
    """A file of a workspace is not what was written: it fails its checksum, or cannot be understood."""


class ConfigError(InputError):
    """One or more settings are wrong; all of them are reported at once.

    Args:
        problems: One line each: the key, what is wrong with it, the value got, and what is allowed.
        source: File, or words such as "command line", from which the configuration came.
    """

    def __init__(self, problems: Sequence[str], *, source: str | None = None) -> None:
        self.problems = tuple(map(_bounded, problems))
        self.source = source
        prefix = f"{source}: " if source else ""
        super().__init__("\n".join(f"{prefix}{problem}" for problem in self.problems))

    def __reduce__(self) -> tuple[Callable[..., "ConfigError"], tuple[tuple[str, ...], str | None]]:
        # Ray carries exceptions between processes; an exception's own pickling would take the message for the problems.
        return (_config_error, (self.problems, self.source))


def _config_error(problems: tuple[str, ...], source: str | None) -> ConfigError:
    return ConfigError(problems, source=source)


class DataError(InputError):
    """A file of a corpus, of rewrites or of judgements is broken.

    Args:
        message: What is wrong, the value got, and the way out.
        path: The file.
        line: Its line, counted from 1, where one line is to blame.
    """

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None) -> None:
        self.path = None if path is None else str(path)
        self.line = line
        where = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
        super().__init__(f"{where}{_bounded(message)}")

    def __reduce__(self) -> tuple[type["DataError"], tuple[str]]:
        # Ray carries exceptions between processes; the message already holds file and line.
        return (DataError, (str(self),))
