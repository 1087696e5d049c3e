"""Outcomes as they come: what was paid for is on the disk before the next request, whatever happens to the process.

Locally a file of JSON lines that is appended to and synced, one line an outcome; half a line at its end, as a kill leaves
it, is cut off. Object stores cannot append: there, outcomes are put in parts of up to 32 of them, or what 10 seconds
brought, which is what a kill may cost.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from retort.errors import DataError
from retort.storage import Folder
from retort.teachers.rewriter import Outcome

__all__ = ["Journal", "Tally", "tally_of"]

FILE: Final = "journal.jsonl"
PART: Final = "journal-"
PART_OUTCOMES: Final = 32
PART_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Tally:
    """Outcomes added up.

    Attributes:
        rewrites: The rewrite of each turn that has one, by query_id.
        failed: The reason why a turn has none so far, by query_id.
        input_tokens: Tokens of all prompts, also those of turns that were asked for again.
        output_tokens: Tokens of all answers, likewise.
    """

    rewrites: dict[str, str]
    failed: dict[str, str]
    input_tokens: int
    output_tokens: int


def tally_of(outcomes: Iterable[Outcome]) -> Tally:
    """Add outcomes up, in the order in which they came; a rewrite that is there is kept."""
    rewrites: dict[str, str] = {}
    failed: dict[str, str] = {}
    tokens_in = tokens_out = 0
    for outcome in outcomes:
        tokens_in, tokens_out = tokens_in + outcome.input_tokens, tokens_out + outcome.output_tokens
        if outcome.rewrite is not None:
            rewrites.setdefault(outcome.query_id, outcome.rewrite)
            failed.pop(outcome.query_id, None)
        elif outcome.query_id not in rewrites:
            failed[outcome.query_id] = outcome.reason
    return Tally(rewrites, failed, tokens_in, tokens_out)


class Journal:
    """The outcomes of one generation, in its folder; a context manager. One process writes at a time.

    Args:
        folder: The folder in which the journal lies.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._local = folder.workspace.is_local
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._waiting: list[Outcome] = []
        self._last_put = time.monotonic()

    def read(self) -> list[Outcome]:
        """All outcomes so far, oldest first; half a line at the end is passed over.

        Raises:
            DataError: If another line is broken.
        """
        outcomes: list[Outcome] = []
        for name in self._files():
            content = self._folder.read_bytes(name)
            lines = content[: content.rfind(b"\n") + 1].splitlines()
            for number, line in enumerate(lines, start=1):
                try:
                    outcomes.append(Outcome(**json.loads(line)))
                except (ValueError, TypeError) as error:
                    message = "is no outcome of a rewrite; remove the line: its turn is then asked for again"
                    raise DataError(message, path=self._folder.url(name), line=number) from error
        return outcomes

    def _files(self) -> list[str]:
        if self._local:
            return [FILE] if self._folder.exists(FILE) else []
        base = self._folder.path()
        filesystem = self._folder.workspace.fs
        filesystem.invalidate_cache()
        found = filesystem.find(base) if filesystem.exists(base) else []
        names = (str(path).rpartition("/")[2] for path in found)
        return sorted(name for name in names if name.startswith(PART))

    def __enter__(self) -> "Journal":
        if self._local:
            path = Path(self._folder.path(FILE))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            os.ftruncate(self._handle, whole)
            os.lseek(self._handle, whole, os.SEEK_SET)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._put()
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    def append(self, outcome: Outcome) -> None:
        """Keep an outcome; it is on the local disk when this returns."""
        with self._lock:
            if self._handle is not None:
                _write_synced(self._handle, _line(outcome))
                return
            self._waiting.append(outcome)
            if len(self._waiting) >= PART_OUTCOMES or time.monotonic() - self._last_put >= PART_SECONDS:
                self._put()

    def _put(self) -> None:
        if self._waiting:
            # The time orders the parts, and the rest keeps two machines' clocks from writing over each other.
            name = f"{PART}{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.jsonl"
            self._folder.write_bytes(name, b"".join(map(_line, self._waiting)))
            self._waiting = []
        self._last_put = time.monotonic()


def _line(outcome: Outcome) -> bytes:
    return json.dumps(asdict(outcome), ensure_ascii=False).encode() + b"\n"


def _write_synced(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]
    os.fsync(handle)
