"""JSON as corpora publish it, arrays and JSON lines, record by record with their lines; and checked access to fields.

Every error names the file and the line on which the broken record begins.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from retort.errors import DataError
from retort.formats.lines import is_encodable, read_lines, read_text

__all__ = ["Fields", "read_array", "read_json_lines", "read_records", "shown"]

_BLANKS: Final = " \t\r\n"  # JSON's own
_SHOWN: Final = 60  # characters of a value that a message shows


def shown(value: object) -> str:
    """A value as a message shows it."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def read_array(path: Path, *, of: str = "turns") -> Iterator[tuple[int, Any]]:
    """The records of a file that holds one JSON array, each with the line on which it begins.

    Raises:
        DataError: With the line, where the file is no such array.
    """
    text = read_text(path)
    decoder = json.JSONDecoder()
    position = line = 0

    def skip_blanks() -> None:
        nonlocal position
        while position < len(text) and text[position] in _BLANKS:
            position += 1

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
            record, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise DataError(f"is no valid JSON: {error.msg}; was it cut off?", path=path, line=error.lineno) from error
        except RecursionError as error:
            raise DataError("is nested too deeply for a turn", path=path, line=line) from error
        except ValueError as error:
            raise DataError(f"holds a number that is too long: {error}", path=path, line=line) from error
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
        if not text.strip():
            continue
        try:
            yield line, json.loads(text)
        except json.JSONDecodeError as error:
            message = f"is no JSON line: {error.msg}, got {text[:40]!r}; one object a line is expected"
            raise DataError(message, path=path, line=line) from error
        except RecursionError as error:
            raise DataError("is nested too deeply", path=path, line=line) from error
        except ValueError as error:
            raise DataError(f"holds a number that is too long: {error}", path=path, line=line) from error


def read_records(path: Path, *, of: str = "turns") -> Iterator[tuple[int, Any]]:
    """The records of a JSON array or of JSON lines, whichever the file holds."""
    first = next((text.lstrip()[:1] for _, text in read_lines(path) if text.strip()), "")
    return read_json_lines(path) if first == "{" else read_array(path, of=of)


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
            raise self.wrong(f"{self.what} has no {' or '.join(keys)}; it has {', '.join(self.record) or 'no key'}")
        return key

    def text(self, *keys: str, empty: bool = False) -> str:
        """Text under the first of these keys that is there; not empty, unless that is allowed."""
        key = self.one_of(*keys)
        value = self.record[key]
        if not isinstance(value, str) or not is_encodable(value):
            raise self.wrong(f"{key} must be valid text, got {shown(value)}")
        if not empty and not value.strip():
            raise self.wrong(f"{key} is empty")
        return value

    def optional_text(self, *keys: str) -> str | None:
        """Text under the first of these keys that is there; None where it is missing, null or empty."""
        key = next((key for key in keys if self.has(key)), None)
        if key is None:
            return None
        value = self.text(key, empty=True)
        return value if value.strip() else None

    def identifier(self, *keys: str) -> str:
        """A number or text without blanks: TREC runs are separated by them."""
        key = self.one_of(*keys)
        value = self.record[key]
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self.wrong(f"{key} must be a number or text, got {shown(value)}")
        return self.checked_id(str(value), key)

    def checked_id(self, value: str, key: str) -> str:
        """The value, if it is text without blanks."""
        if value.split() != [value] or not is_encodable(value):
            raise self.wrong(f"{key} must be text without blanks (TREC runs are separated by them), got {shown(value)}")
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
