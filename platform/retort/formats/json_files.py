"""JSON as corpora publish it, arrays and JSON lines, record by record with their lines; and checked access to fields.

Every error names the file and the line on which the broken record begins. What Python's decoder takes and JSON does not have is
refused: a key that is there twice in an object, of which the later one would silently win, and NaN.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from retort.errors import DataError, excerpt
from retort.formats.lines import (
    MAX_LINE_BYTES,
    id_problem,
    is_blank,
    is_encodable,
    open_binary,
    read_lines,
    read_text,
    too_long,
)

__all__ = ["Fields", "json_value", "read_array", "read_json_lines", "read_records", "shown"]

_BLANKS: Final = re.compile(r"[ \t\r\n]*")  # JSON's own
_SHOWN: Final = 60  # characters of a value that a message shows


def shown(value: object) -> str:
    """A value as a message shows it: as JSON, cut."""
    try:
        return excerpt(json.dumps(value), _SHOWN)
    except (RecursionError, ValueError):  # as deep as it could just be read; a number of more digits than are written
        return f"a {type(value).__name__} that is too long to show"


class _RefusedError(ValueError):
    """JSON that Python's decoder would take."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _RefusedError(f"the key {shown(twice)} is there twice in one object; remove one of the two")
    return found


def _constant(name: str) -> object:
    raise _RefusedError(f"{name} is no number of JSON; write null, or leave the key out")


# One for all: making one takes as long as a short record. An object's pairs through `_object` take a sixth of a passage's time.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def json_value(text: str, path: Path, line: int, *, what: str = "is no JSON line", hint: str = "") -> Any:
    """The value that a text holds.

    Args:
        text: JSON, and nothing else.
        path: The file that it stands in, for messages.
        line: The line on which it begins.
        what: What messages say of a text that is no JSON.
        hint: What they say after it.

    Raises:
        DataError: With file and line, if it is no JSON, or holds a key twice.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        message = f"{what}: {error.msg}, got {text[:40]!r}{hint}"
        raise DataError(message, path=path, line=line) from error
    except (RecursionError, ValueError) as error:
        raise _undecoded(error, path, line) from error


def _undecoded(error: Exception, path: Path, line: int) -> DataError:
    if isinstance(error, _RefusedError):
        return DataError(str(error), path=path, line=line)
    if isinstance(error, RecursionError):
        return DataError("is nested too deeply", path=path, line=line)
    return DataError(f"holds a number that is too long: {error}", path=path, line=line)


def read_array(path: Path, *, of: str = "turns") -> Iterator[tuple[int, Any]]:
    """The records of a file that holds one JSON array, each with the line on which it begins.

    Raises:
        DataError: With the line, where the file is no such array.
    """
    text = read_text(path)
    position = line = 0

    def skip_blanks() -> None:
        nonlocal position
        found = _BLANKS.match(text, position)
        assert found is not None, "no blank is enough"
        position = found.end()

    def broken(what: str) -> DataError:
        rest = text[position : position + 20]
        got = f"got {rest!r}" if rest else "the file ends"
        return DataError(f"is no valid JSON: {what}, {got}", path=path, line=text.count("\n", 0, position) + 1)

    skip_blanks()
    if text[position : position + 1] != "[":
        message = f"must hold one JSON array of {of}, begins with {text[position : position + 20]!r}"
        raise DataError(f"{message}; convert JSON lines first", path=path, line=text.count("\n", 0, position) + 1)
    position += 1
    skip_blanks()
    counted, line = 0, 1
    closed = text[position : position + 1] == "]"
    while not closed:
        line += text.count("\n", counted, position)
        counted = position
        try:
            record, position = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise DataError(f"is no valid JSON: {error.msg}; was it cut off?", path=path, line=error.lineno) from error
        except (RecursionError, ValueError) as error:
            raise _undecoded(error, path, line) from error
        if position - counted > MAX_LINE_BYTES:
            raise too_long(path, line)
        yield line, record
        skip_blanks()
        if text[position : position + 1] not in (",", "]"):
            raise broken("expected ',' or ']' after a record")
        closed = text[position] == "]"
        if not closed:
            position += 1
            skip_blanks()
    position += 1
    skip_blanks()
    if position < len(text):
        raise broken("expected nothing after the array")


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The records of a file of JSON lines, streamed; blank lines are passed over.

    Raises:
        DataError: With the line that is no JSON.
    """
    for line, text in read_lines(path):
        if text.strip():
            yield line, json_value(text, path, line, hint="; one object a line is expected")


def read_records(path: Path, *, of: str = "turns") -> Iterator[tuple[int, Any]]:
    """The records of a JSON array or of JSON lines, whichever the file holds."""
    return read_json_lines(path) if _first_character(path) == b"{" else read_array(path, of=of)


def _first_character(path: Path) -> bytes:
    # Not by lines: an array may stand on one, of any length.
    with open_binary(path) as stream:
        while block := stream.read(1 << 16):
            if first := block.lstrip(b" \t\r\n\xef\xbb\xbf")[:1]:
                return first
    return b""


class Fields:
    """One JSON object and where it stands; asking it for what it does not have is an error with file and line.

    Args:
        record: The object.
        path: The file that holds it.
        line: The line on which it begins.
        what: What messages call it, such as "the turn".
    """

    def __init__(self, record: object, path: Path, line: int, *, what: str = "the turn") -> None:
        self.path, self.line, self.what = path, line, what
        if not isinstance(record, dict):
            raise self.wrong(f"{what} must be an object, got {shown(record)}")
        self.record: Mapping[str, Any] = record

    @property
    def place(self) -> str:
        """``file:line``."""
        return f"{self.path}:{self.line}"

    def wrong(self, message: str) -> DataError:
        """Make an error that names this record's file and line."""
        return DataError(message, path=self.path, line=self.line)

    def below(self, record: object, what: str) -> "Fields":
        """Fields of an object inside this one."""
        return Fields(record, self.path, self.line, what=what)

    def has(self, key: str) -> bool:
        """Whether there is a value under the key that is not null."""
        return self.record.get(key) is not None

    def one_of(self, *keys: str) -> str:
        """The first of these keys that the record has."""
        key = next((key for key in keys if key in self.record), None)
        if key is None:
            raise self.wrong(f"{self.what} has no {' or '.join(keys)}; it has {self.keys()}")
        return key

    def keys(self) -> str:
        """The record's keys, for a message."""
        return excerpt(", ".join(self.record), 4 * _SHOWN) or "no key"

    def text(self, *keys: str, empty: bool = False) -> str:
        """Text under the first of these keys that is there; not empty, unless that is allowed."""
        key = self.one_of(*keys)
        value = self.record[key]
        if not isinstance(value, str) or not is_encodable(value):
            raise self.wrong(f"{key} must be valid text, got {shown(value)}")
        if not empty and is_blank(value):
            raise self.wrong(f"{key} is empty{', but for characters that show nothing' if value.strip() else ''}")
        return value

    def optional_text(self, *keys: str) -> str | None:
        """Text under the first of these keys that is there; None where it is missing, null or empty."""
        key = next((key for key in keys if self.has(key)), None)
        if key is None:
            return None
        value = self.text(key, empty=True)
        return None if is_blank(value) else value

    def identifier(self, *keys: str) -> str:
        """A number or text without blanks: TREC runs are separated by them."""
        key = self.one_of(*keys)
        value = self.record[key]
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self.wrong(f"{key} must be a number or text, got {shown(value)}")
        return self.checked_id(str(value), key)

    def checked_id(self, value: str, key: str) -> str:
        """The value, if it can be an id: text without blanks, of a bounded length."""
        if problem := id_problem(value):
            raise self.wrong(f"{key} {problem}, got {shown(value)}")
        return value

    def number(self, key: str, *, least: int = 1) -> int:
        """A whole number."""
        value = self.record[self.one_of(key)]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
            raise self.wrong(f"{key} must be a whole number from {least}, got {shown(value)}")
        return value

    def items(self, *keys: str) -> Sequence[Any]:
        """A list."""
        key = self.one_of(*keys)
        value = self.record[key]
        if not isinstance(value, list):
            raise self.wrong(f"{key} must be a list, got {shown(value)}")
        return value

    def texts(self, *keys: str) -> list[str]:
        """A list of texts, of which some may be empty; an empty list where none of the keys is there."""
        key = next((key for key in keys if self.has(key)), None)
        if key is None:
            return []
        value = self.record[key]
        if not isinstance(value, list) or not all(isinstance(item, str) and is_encodable(item) for item in value):
            raise self.wrong(f"{key} must be a list of valid texts, got {shown(value)}")
        return list(value)

    def doc_ids(self, *keys: str, joined: bool = False) -> tuple[str, ...]:
        """A list of ids, without repetitions; empty where none of the keys is there.

        Args:
            keys: The first of them that is there is taken.
            joined: Remove blanks inside an id instead of refusing it.
        """
        key = next((key for key in keys if self.has(key)), None)
        if key is None:
            return ()
        values = [
            str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in self.items(key)
        ]
        if not all(isinstance(item, str) for item in values):
            raise self.wrong(f"{key} must be a list of ids, got {shown(self.record[key])}")
        ids = ["".join(item.split()) for item in values] if joined else values
        return tuple(dict.fromkeys(self.checked_id(item, key) for item in ids))
