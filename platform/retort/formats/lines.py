r"""Text files as lines with their numbers, and the errors that a broken file gives: always with file and line.

Lines end at ``\n`` alone: passages hold form feeds, U+2028 and the like, which ``str.splitlines`` would cut at. A byte
order mark at the beginning is dropped, since editors put it there unasked. Names that end in ``.gz``, ``.zst`` or
``.zstd`` are decompressed on the way.
"""

import codecs
import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

import pyarrow as pa

from retort.errors import DataError
from retort.identity import file_digest

__all__ = [
    "COMPRESSED",
    "digest_of",
    "is_encodable",
    "open_binary",
    "read_lines",
    "read_text",
    "without_compression",
]

ZSTD: Final = (".zst", ".zstd")
COMPRESSED: Final = (".gz", *ZSTD)


def digest_of(path: Path) -> str:
    """SHA-256 of a source file.

    Raises:
        DataError: If there is no such file, or it cannot be read.
    """
    try:
        return file_digest(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def digests_of(**files: Path | None) -> dict[str, str]:
    """SHA-256 of each source file that was given, by its role in the import; together they identify the import."""
    return {name: digest_of(path) for name, path in files.items() if path is not None}


def is_encodable(text: str) -> bool:
    """Whether text can be stored: JSON may escape half a surrogate pair, which no encoding can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def without_compression(name: str) -> str:
    """A file's name without the ending that says how it is compressed."""
    ending = next((ending for ending in COMPRESSED if name.endswith(ending)), "")
    return name.removesuffix(ending)


@contextlib.contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, decompressed; errors while reading inside the block carry the file's name.

    Raises:
        DataError: If the file cannot be read, or is no whole file of its compression.
    """
    try:
        with path.open("rb") as file, _decompressed(path, file) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is no whole gzip file ({error}); was the download cut off?", path=path) from error
    except OSError as error:
        if path.name.endswith(ZSTD) and error.errno is None:
            raise DataError(f"is no whole zstd file ({error}); was the download cut off?", path=path) from error
        raise _unreadable(path, error) from error


def _decompressed(path: Path, file: BinaryIO) -> BinaryIO:
    if path.name.endswith(".gz"):
        return cast(BinaryIO, gzip.open(file, "rb"))
    if path.name.endswith(ZSTD):
        return io.BufferedReader(pa.CompressedInputStream(file, "zstd"))
    return file


def read_text(path: Path) -> str:
    """A whole text file.

    Raises:
        DataError: If it cannot be read, is empty, or is not UTF-8 (with the line).
    """
    with open_binary(path) as stream:
        content = stream.read()
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content.strip():
        raise DataError("is empty; was the download cut off?", path=path)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(path, content.count(b"\n", 0, error.start) + 1, error) from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file without their ends, numbered from 1, streamed.

    Raises:
        DataError: If it cannot be read or is not UTF-8 (with the line).
    """
    line = 0
    try:
        with open_binary(path) as stream:
            for raw in stream:
                line += 1
                if line == 1:
                    raw = raw.removeprefix(codecs.BOM_UTF8)
                try:
                    text = raw.removesuffix(b"\n").removesuffix(b"\r").decode()
                except UnicodeDecodeError as error:
                    raise _not_utf8(path, line, error) from error
                yield line, text
    except DataError as error:
        if error.line is None and line and error.path == str(path):
            message = str(error).removeprefix(f"{path}: ")
            raise DataError(message, path=path, line=line + 1) from error
        raise


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot be read: {error.strerror or error}; check the path", path=path)


def _not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> DataError:
    bad = error.object[error.start : error.start + 4].hex(" ")
    return DataError(f"is not UTF-8 (bytes {bad}); convert the file, for example with iconv", path=path, line=line)
