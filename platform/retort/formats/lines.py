r"""Text files as lines with their numbers, and the errors that a broken file gives: always with file and line.

Lines end at ``\n`` alone: passages hold form feeds, U+2028 and the like, which ``str.splitlines`` would cut at. A byte
order mark at the beginning is dropped, since editors put it there unasked. Names that end in ``.gz``, ``.zst`` or
``.zstd`` are decompressed on the way.

What is small on the disk or looks short can still be without end: a line, a compressed file, an id. Each has a limit, far
above what corpora hold, so that the wrong file is told at once and not when the memory is full.
"""

import codecs
import contextlib
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import pyarrow as pa

from retort.errors import DataError
from retort.identity import file_digest

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = [
    "COMPRESSED",
    "MAX_LINE_BYTES",
    "digest_of",
    "id_problem",
    "is_blank",
    "is_encodable",
    "open_binary",
    "read_lines",
    "read_text",
    "too_long",
    "without_compression",
]

ZSTD: Final = (".zst", ".zstd")
COMPRESSED: Final = (".gz", *ZSTD)
MAX_LINE_BYTES: Final = 16 << 20  # of a line, or of a record of a JSON array; the longest Wikipedia article has 2 MB
# As many lines in a row say nothing: a disk image, or a file of line breaks, which would be read for minutes.
MAX_SHORT_LINES: Final = 100_000
SHORT_BYTES: Final = 3  # its line break included: no row of any format is so short
MAX_TEXT_BYTES: Final = 2 << 30  # of a file that is read as a whole: the largest topics file, QReCC's, has 0.1 GB
# Texts become 3 to 30 times as long when they are decompressed. What becomes far longer was made to fill a disk.
MAX_EXPANSION: Final = 300
FREE_EXPANSION_BYTES: Final = 64 << 20  # below it nothing is filled
MAX_ID_CHARACTERS: Final = 2048  # QReCC's are addresses of the web, which browsers and servers bound by that
BLOCK_BYTES: Final = 1 << 17
_PLAIN_ID: Final = re.compile(rf"[!-~]{{1,{MAX_ID_CHARACTERS}}}")  # which most ids are
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ufeff]")
# Whitespace, control characters, what Unicode calls ignorable by default, the Hangul fillers and the Braille blank.
_VISIBLE: Final = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


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


def is_blank(text: str) -> bool:
    """Whether text shows nothing: no character at all, or none but blanks, control characters and those of no width."""
    if "!" <= text[:1] <= "~":  # nearly every text begins so, and a comparison takes a quarter of a search's time
        return False
    return _VISIBLE.search(text) is None


def id_problem(value: str) -> str:
    """Why a text is no id of a turn, a conversation or a passage; empty where it is one."""
    if _PLAIN_ID.fullmatch(value):
        return ""
    if value.split() != [value]:
        return "must be text without blanks (TREC runs are separated by them)"
    if len(value) > MAX_ID_CHARACTERS:
        return f"must have at most {MAX_ID_CHARACTERS:,} characters, has {len(value):,}"
    if _CONTROL.search(value):
        return "must be text without control characters or byte order marks, which nobody could type or see"
    return "" if is_encodable(value) else "must be valid text"


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
        opened = cast(io.BufferedIOBase, gzip.GzipFile(fileobj=file))
    elif path.name.endswith(ZSTD):
        opened = pa.CompressedInputStream(file, "zstd")
    else:
        return file
    allowed = FREE_EXPANSION_BYTES + MAX_EXPANSION * path.stat().st_size
    return io.BufferedReader(_Bounded(opened, path, allowed), BLOCK_BYTES)


class _Bounded(io.RawIOBase):
    """Bytes of another stream, of which there may be so many.

    Args:
        source: The stream; it is closed with this one.
        path: The file, for the message.
        allowed: How many bytes there may be.
    """

    def __init__(self, source: io.BufferedIOBase, path: Path, allowed: int) -> None:
        self._source = source
        self._path = path
        self._left = allowed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        block = self._source.read1(
            memoryview(buffer).nbytes
        )  # what there is: a file that was cut off is read to the cut
        self._left -= len(block)
        if self._left < 0:
            raise DataError(
                f"becomes more than {MAX_EXPANSION} times as large when it is decompressed: no text does; if it is what you "
                "mean to import, decompress it first",
                path=self._path,
            )
        memoryview(buffer)[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def read_text(path: Path) -> str:
    """A whole text file.

    Raises:
        DataError: If it cannot be read, is empty, or is not UTF-8 (with the line).
    """
    with open_binary(path) as stream:
        read = io.BytesIO()
        while block := stream.read(BLOCK_BYTES):
            read.write(block)
            if read.tell() > MAX_TEXT_BYTES:
                message = f"has more than {MAX_TEXT_BYTES:,} bytes, and is read as a whole; make JSON lines of it, or split it"
                raise DataError(message, path=path)
    content = read.getvalue().removeprefix(codecs.BOM_UTF8)
    if not content.strip():
        raise DataError("is empty; was the download cut off?", path=path)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(path, content.count(b"\n", 0, error.start) + 1, error) from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file without their ends, numbered from 1, streamed.

    Raises:
        DataError: If it cannot be read, or a line is not UTF-8 or longer than ``MAX_LINE_BYTES`` (with the line).
    """
    line = short = 0
    try:
        with open_binary(path) as stream:
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                line += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise too_long(path, line)
                short = short + 1 if len(raw) < SHORT_BYTES else 0
                if short > MAX_SHORT_LINES:
                    message = f"has {MAX_SHORT_LINES:,} lines in a row that hold next to nothing; is it another file?"
                    raise DataError(message, path=path, line=line)
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


def too_long(path: Path, line: int) -> DataError:
    """The error of a line, or of a record, that is longer than any that is read."""
    return DataError(
        f"is longer than {MAX_LINE_BYTES >> 20} MiB, as no turn, passage or judgement is; is it another file, or did it lose its "
        "line breaks?",
        path=path,
        line=line,
    )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot be read: {error.strerror or error}; check the path", path=path)


def _not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> DataError:
    bad = error.object[error.start : error.start + 4].hex(" ")
    return DataError(f"is not UTF-8 (bytes {bad}); convert the file, for example with iconv", path=path, line=line)
