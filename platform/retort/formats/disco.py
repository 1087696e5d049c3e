"""Rankings that others made, read line by line or object by object: TREC runs, and DiSCo's ``run.json``.

A TREC run has ``query_id Q0 doc_id rank score tag``; its ranks are ignored, as trec_eval does, and scores order it.
``run.json`` is one object, ``{row of the topics file: {doc_id: score}}``, gigabytes of it: it is read in pieces. Both may be
compressed (``.gz``).
"""

import codecs
import gzip
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from retort.errors import DataError

__all__ = ["RankedTurn", "read_disco", "read_trec"]

BLOCK_BYTES: Final = 1 << 20
LARGEST_OBJECT: Final = 256 << 20  # bytes of one turn's ranking, above which the file is something else
SPACE: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class RankedTurn:
    """One turn's ranking as its file has it.

    Attributes:
        key: query_id (TREC) or row (DiSCo).
        line: Where it begins, from 1.
        doc_ids: K of them.
        scores: K of them.
        lines: Of each passage (TREC).
    """

    key: str
    line: int
    doc_ids: list[str]
    scores: list[float]
    lines: list[int]


def _open(path: Path) -> BinaryIO:
    try:
        return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; check the path", path=path) from error


def read_trec(path: Path) -> Iterator[RankedTurn]:
    """A TREC run, turn by turn, in the file's order; one turn's ranking is in memory at a time.

    Raises:
        DataError: With file and line, if a line is broken, a passage is there twice for a turn, or the lines of a turn do
            not stand together.
    """
    first_lines: dict[str, int] = {}
    turn: RankedTurn | None = None
    seen: dict[str, int] = {}
    try:
        with _open(path) as stream:
            for number, raw in enumerate(stream, start=1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                if not line.strip():
                    continue
                query_id, doc_id, score = _trec_line(path, number, line)
                if turn is None or query_id != turn.key:
                    if turn is not None:
                        yield turn
                    first = first_lines.setdefault(query_id, number)
                    if first != number:
                        message = f"{query_id} has other lines from line {first} on; sort the file: sort -s -k1,1"
                        raise DataError(message, path=path, line=number)
                    turn, seen = RankedTurn(query_id, number, [], [], []), {}
                first = seen.setdefault(doc_id, number)
                if first != number:
                    message = f"{query_id} ranks {doc_id} on line {first} already; remove one of the two"
                    raise DataError(message, path=path, line=number)
                turn.doc_ids.append(doc_id)
                turn.scores.append(score)
                turn.lines.append(number)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is no complete gzip file ({error}); was the download cut off?", path=path) from error
    if turn is None:
        raise DataError("holds no ranking; was the download cut off?", path=path)
    yield turn


def _trec_line(path: Path, number: int, raw: bytes) -> tuple[str, str, float]:
    try:
        fields = raw.decode().split()
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8; convert the file, for example with iconv", path=path, line=number) from error
    if len(fields) != 6:
        got = " ".join(fields)[:60]
        message = f"expected `query_id Q0 doc_id rank score tag`, got {len(fields)} fields: {got!r}"
        raise DataError(message, path=path, line=number)
    return fields[0], fields[2], _score(path, number, fields[0], fields[4])


def _score(path: Path, line: int, key: str, value: Any) -> float:
    try:
        score = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score) or abs(score) > 3e38:  # float32's largest is 3.4e38
        raise DataError(f"the score of {key} must be a number, got {str(value)[:40]!r}", path=path, line=line)
    return score


def read_disco(path: Path, *, block_bytes: int = BLOCK_BYTES) -> Iterator[RankedTurn]:
    """DiSCo's ``run.json``, turn by turn, in the file's order; one turn's ranking is in memory at a time.

    Args:
        path: The file.
        block_bytes: So much is read at a time.

    Raises:
        DataError: With file and line, if it is not the object that was described, or a row is there twice.
    """
    try:
        with _open(path) as stream:
            yield from _Pieces(path, stream, block_bytes).turns()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is no complete gzip file ({error}); was the download cut off?", path=path) from error


class _Pieces:
    """One large JSON object, member by member."""

    def __init__(self, path: Path, stream: BinaryIO, block_bytes: int) -> None:
        self.path = path
        self.block_bytes = block_bytes
        self.stream = stream
        self.buffer = b""
        self.place = 0
        self.line = 1
        self.ended = False

    def turns(self) -> Iterator[RankedTurn]:
        if self._peek() == codecs.BOM_UTF8[:1]:
            self._skip(len(codecs.BOM_UTF8))
        self._take(b"{", "an object of rankings by row")
        lines: dict[str, int] = {}
        if self._peek() == b"}":
            raise self._error("holds no ranking; was the download cut off?")
        while True:
            self._peek()
            line = self.line
            key = self._value(b'"', "a row number in quotes")
            if not isinstance(key, str) or not (key.isascii() and key.isdigit()):
                raise self._error(f"expected a row number of the topics file in quotes, got {str(key)[:40]!r}")
            first = lines.get(str(int(key)))
            if first is not None:
                raise self._error(f"row {key} is there on line {first} already; remove one of the two")
            self._take(b":", "a colon")
            self._peek()
            ranking = self._value(b"{", f"the ranking of row {key} as an object")
            lines[str(int(key))] = line
            yield self._turn(str(int(key)), line, ranking)
            if self._peek() == b"}":
                self._skip(1)
                break
            self._take(b",", "a comma or the end of the object")
        if self._peek():
            raise self._error("goes on behind the object's end; is it several files in one?")

    def _turn(self, key: str, line: int, ranking: Any) -> RankedTurn:
        if not isinstance(ranking, list):
            raise self._error(f"the ranking of row {key} must be an object of scores by doc_id")
        doc_ids = [doc_id for doc_id, _ in ranking]
        if len(set(doc_ids)) < len(doc_ids):
            twice = next(doc_id for place, doc_id in enumerate(doc_ids) if doc_id in doc_ids[:place])
            raise self._error(f"row {key} ranks {twice!r} twice; remove one of the two")
        scores = [_score(self.path, line, f"row {key}", score) for _, score in ranking]
        return RankedTurn(key, line, doc_ids, scores, [line] * len(doc_ids))

    def _fill(self) -> bool:
        block = b"" if self.ended else self.stream.read(self.block_bytes)
        self.ended = not block
        self.buffer, self.place = self.buffer[self.place :] + block, 0
        return bool(block)

    def _peek(self) -> bytes:
        while True:
            while self.place < len(self.buffer) and self.buffer[self.place] in SPACE:
                self._skip(1)
            if self.place < len(self.buffer):
                return self.buffer[self.place : self.place + 1]
            if not self._fill():
                return b""

    def _skip(self, count: int) -> None:
        while self.place + count > len(self.buffer) and self._fill():
            pass
        self.line += self.buffer.count(b"\n", self.place, self.place + count)
        self.place += count

    def _take(self, wanted: bytes, what: str) -> None:
        got = self._peek()
        if got != wanted:
            raise self._error(f"expected {what}, got {got.decode(errors='replace')!r}" if got else self._cut())
        self._skip(1)

    def _value(self, opening: bytes, what: str) -> Any:
        got = self._peek()
        if got != opening:
            raise self._error(f"expected {what}, got {got.decode(errors='replace')!r}" if got else self._cut())
        closing = b'"' if opening == b'"' else b"}"
        tried = self.place + 1
        while True:
            end = self.buffer.find(closing, tried)
            if end < 0:
                tried = len(self.buffer) - self.place
                if tried > LARGEST_OBJECT or not self._fill():
                    raise self._error(self._cut())
                continue
            # A quote or a brace may stand inside a doc_id: only what parses is the value's end.
            try:
                text = self.buffer[self.place : end + 1].decode()
                value = json.loads(text, object_pairs_hook=list)
            except UnicodeDecodeError as error:
                raise self._error("is not UTF-8; convert the file, for example with iconv") from error
            except RecursionError as error:
                raise self._error("is nested too deeply for rankings") from error
            except json.JSONDecodeError as error:
                if not _may_go_on(error, len(text)):
                    raise self._error(f"is no JSON: {error.msg}") from error
                tried = end + 1
                continue
            self._skip(end + 1 - self.place)
            return value

    def _cut(self) -> str:
        return "ends in the middle; was the download cut off?"

    def _error(self, message: str) -> DataError:
        return DataError(message, path=self.path, line=self.line)


def _may_go_on(error: json.JSONDecodeError, length: int) -> bool:
    """Whether a text failed to parse because it is not at its end yet."""
    return error.msg.startswith("Unterminated string") or error.pos >= length - 1
