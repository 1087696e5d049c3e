"""What the command line does with its own process: signals end it in order, and nothing that it prints or logs holds a secret.

SIGINT, SIGTERM and SIGHUP all raise KeyboardInterrupt in the main thread, so that whatever was started is ended by the same
``finally`` blocks; the exit code says which it was: 130, 143, 129.
"""

import atexit
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Final, TextIO, cast

from retort.redaction import redacted, without_known

__all__ = ["Signals", "end_children_at_exit", "without_secrets"]

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNAL_EXIT: Final = 128  # as shells count: 128 and the signal's number
GRACE_SECONDS: Final = 3.0  # in which processes that were told to end do so


class Signals:
    """Turns the signals that end a process into KeyboardInterrupt, for as long as the block runs.

    Attributes:
        received: The first one that came; None: none did.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int:
        """What a process ends with that was interrupted."""
        return SIGNAL_EXIT + (self.received or signal.SIGINT)

    def __enter__(self) -> "Signals":
        # Tune has a handler of its own for SIGINT, which ends a sweep as if it were finished.
        os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in ENDING:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:  # nohup, or a shell's background: whoever started it wants it so
                self._before[number] = before
                signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        raise KeyboardInterrupt


def end_children_at_exit() -> None:
    """End whatever this process has started, and what that has, when the interpreter ends.

    Ray's agents outlive an interrupted driver by half a minute, in which the next one meets them.
    """
    atexit.register(_end_children)  # the last that is registered is the first to run, before Ray's own


def _end_children() -> None:
    import psutil

    started = psutil.Process().children(recursive=True)
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
    for child in psutil.wait_procs(started, timeout=GRACE_SECONDS)[1]:
        with suppress(psutil.NoSuchProcess):
            child.kill()


class _Filtered(io.TextIOBase):
    """A text stream that passes what is written through a filter; all else is the stream's own affair."""

    def __init__(self, stream: TextIO, text_filter: Callable[[str], str]) -> None:
        self._stream, self._filter = stream, text_filter

    def write(self, text: str) -> int:
        self._stream.write(self._filter(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not self._stream.closed:
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """The stream belongs to somebody else."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def without_secrets() -> Iterator[None]:
    """Take secrets out of standard error, of standard output and of every log record, for as long as the block runs.

    Standard output carries users' texts too (``retort search``): there only known secrets are hidden, not what looks like one.
    """
    out, err, factory = sys.stdout, sys.stderr, logging.getLogRecordFactory()

    def record(*arguments: Any, **named: Any) -> logging.LogRecord:
        made = factory(*arguments, **named)
        _hide_in(made)
        return made

    sys.stdout = cast(TextIO, _Filtered(out, without_known))
    sys.stderr = cast(TextIO, _Filtered(err, redacted))
    logging.setLogRecordFactory(record)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
        logging.setLogRecordFactory(factory)


def _hide_in(record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        return  # its words do not fit its message, which the handler will complain of
    if (hidden := redacted(text)) != text:
        record.msg, record.args = hidden, ()
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))
