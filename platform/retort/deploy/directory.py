"""A directory that is written aside and renamed: it is there whole, or not at all."""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from retort.errors import InputError

__all__ = ["check_new_directory", "written_aside"]


def check_new_directory(directory: Path) -> None:
    """Find out, before any work, whether a directory can be made.

    Raises:
        InputError: If it is there already.
    """
    if directory.exists():
        raise InputError(f"{directory} exists already; nothing was overwritten: name another directory")


def written_aside(directory: Path, write: Callable[[Path], None]) -> dict[str, int]:
    """Let ``write`` fill a directory, which gets its name when it is whole; returns its files and their sizes."""
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}.tmp")
    aside.mkdir()
    try:
        write(aside)
        for path in aside.rglob("*"):
            path.chmod(path.stat().st_mode | 0o044)  # safetensors writes for its user alone
        check_new_directory(directory)
        aside.rename(directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # it is gone where it was renamed
    return {
        path.relative_to(directory).as_posix(): path.stat().st_size
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
