r"""Text files as lines with their numbers, and the errors that a broken file gives: always with file and line.

Lines end at ``\n`` alone: passages hold form feeds, U+2028 and the like, which ``str.splitlines`` would cut at. A byte
order mark at the beginning is dropped, since editors put it there unasked.
"""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from retort.errors import DataError
from retort.identity import file_digest

__all__ = ["digest_of", "is_encodable", "read_lines", "read_text"]


def digest_of(path: Path) -> str:
    """SHA-256 of a source file.

    Raises:
        DataError: If there is no such file, or it cannot be read.
    """
    try:
        return file_digest(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; check the path", path=path) from error


def is_encodable(text: str) -> bool:
    """Whether text can be stored: JSON may escape half a surrogate pair, which no encoding can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_text(path: Path) -> str:
    """A whole text file.

    Raises:
        DataError: If it cannot be read, is empty, or is not UTF-8 (with the line).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; check the path", path=path) from error
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content.strip():
        raise DataError("is empty; was the download cut off?", path=path)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(path, content.count(b"\n", 0, error.start) + 1, error) from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file without their ends, numbered from 1; a name ending in ``.gz`` is decompressed on the way.

    Raises:
        DataError: If it cannot be read or is not UTF-8 (with the line).
    """
    line = 0
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as stream:
            for raw in stream:
                line += 1
                if line == 1:
                    raw = raw.removeprefix(codecs.BOM_UTF8)
                try:
                    yield line, raw.removesuffix(b"\n").removesuffix(b"\r").decode()
                except UnicodeDecodeError as error:
                    raise _not_utf8(path, line, error) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"is no whole gzip file ({error}); was the download cut off?"
        raise DataError(message, path=path, line=line + 1) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; check the path", path=path) from error


def _not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> DataError:
    bad = error.object[error.start : error.start + 4].hex(" ")
    return DataError(f"is not UTF-8 (bytes {bad}); convert the file, for example with iconv", path=path, line=line)
