"""DiSCo's published rankings, ``run.json``: one object, ``{row of the topics file: {doc_id: score}}``.

The file has gigabytes, so it is read in pieces. It may be compressed.
"""

import codecs
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from retort.errors import DataError, shown
from retort.formats.lines import open_binary
from retort.formats.trec import RankedTurn

__all__ = ["read_disco"]

BLOCK_BYTES: Final = 1 << 20
LARGEST_OBJECT: Final = 256 << 20  # bytes of one turn's ranking, above which the file is something else
SPACE: Final = re.compile(rb"[ \t\r\n]*")
MAX_ROW_DIGITS: Final = 18  # 64 bits


def read_disco(path: Path, *, block_bytes: int = BLOCK_BYTES) -> Iterator[RankedTurn]:
    """Read DiSCo's ``run.json`` turn by turn, in the file's order, with one turn's ranking in memory at a time.

    Args:
        path: The file.
        block_bytes: How many bytes are read at a time.

    Raises:
        DataError: With file and line, if it is not the object that was described, or a row is there twice.
    """
    with open_binary(path) as stream:
        yield from _Pieces(path, stream, block_bytes).turns()


class _Pieces:
    """One large JSON object, member by member."""

    def __init__(self, path: Path, stream: BinaryIO, block_bytes: int) -> None:
        self.path = path
        self.block_bytes = block_bytes
        self.stream = stream
        self.buffer = b""
        self.position = 0
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
            if not isinstance(key, str) or not (key.isascii() and key.isdigit() and len(key) <= MAX_ROW_DIGITS):
                raise self._error(f"expected a row number of the topics file in quotes, got {shown(str(key), 40)}")
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

    def _turn(self, row: str, line: int, ranking: Any) -> RankedTurn:
        if not isinstance(ranking, list):
            raise self._error(f"the ranking of row {row} must be an object of scores by doc_id")
        turn = RankedTurn(row, line, {})
        for doc_id, score in ranking:
            if doc_id in turn.scores:
                raise self._error(f"row {row} ranks {shown(doc_id)} twice; remove one of the two")
            turn.scores[doc_id] = self._score(row, line, score)
            turn.lines.append(line)
        return turn

    def _score(self, row: str, line: int, value: Any) -> float:
        try:
            score = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            score = math.nan
        if math.isnan(score):
            message = f"the score of row {row} must be a number, got {shown(str(value), 40)}"
            raise DataError(message, path=self.path, line=line)
        return score

    def _fill(self) -> bool:
        # Twice as much each time: what is kept is copied, and an object may have many blocks.
        block = b"" if self.ended else self.stream.read(max(self.block_bytes, len(self.buffer) - self.position))
        self.ended = not block
        self.buffer, self.position = self.buffer[self.position :] + block, 0
        return bool(block)

    def _peek(self) -> bytes:
        while True:
            blanks = SPACE.match(self.buffer, self.position)
            assert blanks is not None, "no blank is enough"
            self._skip(blanks.end() - self.position)
            if self.position < len(self.buffer):
                return self.buffer[self.position : self.position + 1]
            if not self._fill():
                return b""

    def _skip(self, count: int) -> None:
        while self.position + count > len(self.buffer) and self._fill():
            pass
        self.line += self.buffer.count(b"\n", self.position, self.position + count)
        self.position += count

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
        tried = 0  # bytes that are known not to be all of the value
        while True:
            end = self._end(closing, tried)
            # A quote or a brace may stand inside a doc_id: only what parses is the value.
            try:
                text = self.buffer[self.position : end].decode()
                value = json.loads(text, object_pairs_hook=list)
            except UnicodeDecodeError as error:
                raise self._error("is not UTF-8; convert the file, for example with iconv") from error
            except RecursionError as error:
                raise self._error("is nested too deeply for rankings") from error
            except json.JSONDecodeError as error:
                if error.msg == "Extra data":  # the value ends before what was tried
                    text = text[: error.pos]
                    end = self.position + len(text.encode())
                    value = json.loads(text, object_pairs_hook=list)
                elif _may_go_on(error, len(text)):
                    tried = end - self.position
                    continue
                else:
                    raise self._error(f"is no JSON: {error.msg}") from error
            except ValueError as error:
                raise self._error(f"holds a number that is too long: {error}") from error
            self._skip(end - self.position)
            return value

    def _end(self, closing: bytes, tried: int) -> int:
        """Where a value may end: at the first closing mark, then at one that stands twice as far away as the last, and so on.

        Each mark in turn would parse a value as often as it has marks inside.
        """
        while True:
            end = self.buffer.find(closing, self.position + max(1, 2 * tried))
            if end >= 0:
                return end + 1
            if len(self.buffer) - self.position > LARGEST_OBJECT or not self._fill():
                end = self.buffer.rfind(closing, self.position + max(1, tried))
                if end < 0:
                    raise self._error(self._cut())
                return end + 1

    def _cut(self) -> str:
        return "ends in the middle; was the download cut off?"

    def _error(self, message: str) -> DataError:
        return DataError(message, path=self.path, line=self.line)


def _may_go_on(error: json.JSONDecodeError, length: int) -> bool:
    """Whether a text failed to parse because it is not at its end yet."""
    return error.msg.startswith("Unterminated string") or error.pos >= length - 1
