"""Any OpenAI-compatible endpoint as a back-end: threads that wait, limits, attempts, and a key that nobody gets to see.

What fails in passing (429, 5xx, a time-out, a cut connection, garbage) is tried again; what fails for good is the turn's
outcome. What would fail for every turn (a refused key, an unknown model, nobody there) ends the work: a RunError.
"""

import email.utils
import json
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Final

import requests

from retort.config import EndpointConfig, RewritingConfig
from retort.errors import ConfigError, RunError
from retort.records import Turn
from retort.redaction import learn
from retort.teachers.bounded import BoundedSession, Reply, TooLarge, TooSlow
from retort.teachers.pace import Pace, Stopped, backoff
from retort.teachers.prompts import Ask, Prompt
from retort.teachers.rewriter import Answer, cut_answer

__all__ = ["Endpoint", "api_key", "tokens_of"]

PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
HOPELESS: Final = frozenset({401, 402})  # for every other turn too
HOPELESS_AT_FIRST: Final = frozenset({301, 302, 303, 307, 308, 403, 404, 405})  # later it may be this one turn's text
GIVE_UP: Final = 50  # turns that failed in a row: whoever answers is gone
KEY_PIECE: Final = 8  # characters of a key that a message may not repeat
SAID: Final = 200  # characters of a server's message that are kept
CONNECT_SECONDS: Final = 10.0
LARGEST_ANSWER: Final = 16 * 1024**2  # bytes; the longest answer that may be asked for has some 200 thousand
# Times the time-out: some servers send blanks while a model works, and are waited for; one that drips for ever is not.
LONGEST_ANSWER: Final = 5.0


def api_key(settings: EndpointConfig) -> str | None:
    """The key from the environment variable that the settings name; None where it is not set.

    Raises:
        ConfigError: If it cannot be part of a request; the message does not repeat it.
    """
    key = os.environ.get(settings.key_env, "").strip()
    if not key:
        return None
    if not all("!" <= character <= "~" for character in key):
        raise ConfigError(
            [f"the key in {settings.key_env} holds white space or other than ASCII; was it copied whole?"]
        )
    learn(key)  # the variable may be called anything
    return key


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a token for every 4 bytes, as is usual for English."""
    return (len(text.encode()) + 3) // 4


@dataclass(eq=False)
class _Failure(Exception):
    """An attempt that came to nothing; ``again`` says whether another one may do better."""

    reason: str
    again: bool
    after: float | None = None
    fatal: bool = False
    input_tokens: int = 0
    output_tokens: int = 0


class _Bearer(requests.auth.AuthBase):
    """Sets the key, or nothing; requests would otherwise look into ``~/.netrc`` and prefer what stands there."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Endpoint:
    """Asks an endpoint; see ``retort.teachers.rewriter.Answerer``.

    Args:
        settings: The teacher's settings; ``endpoint`` is set.
        key: The key, as ``api_key`` gives it.
    """

    def __init__(self, settings: RewritingConfig, key: str | None) -> None:
        assert settings.endpoint is not None, "checked by RewritingConfig"
        self._settings = settings
        self._endpoint = settings.endpoint
        self._url = f"{self._endpoint.base_url.rstrip('/')}/chat/completions"
        self._auth = _Bearer(key)
        self._secret = key
        self._pace = Pace(self._endpoint.requests_per_minute, self._endpoint.tokens_per_minute)
        self._local = threading.local()
        self._sessions: list[BoundedSession] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._answered = False
        self._failed_in_a_row = 0

    def newest_that_fit(self, turn: Turn, prompt: Prompt) -> int | None:
        """All of the history: the endpoint knows its model's limit, and says so."""
        return None

    def __call__(self, asks: Sequence[Ask], on_answer: Callable[[int, Answer], None]) -> None:
        """Ask for all, ``concurrency`` at a time.

        Raises:
            RunError: If every turn would fail; what had been answered was handed over.
        """
        self._stop.clear()

        def work(number: int) -> None:
            if self._stop.is_set():
                return
            try:
                answer, fatal = self._ask(asks[number])
            except Stopped:
                return
            with self._lock:
                # On the disk before the next one, and before this thread asks for anything else.
                on_answer(number, answer)
                self._watch(answer, fatal)

        pool = ThreadPoolExecutor(self._endpoint.concurrency, thread_name_prefix="endpoint")
        try:
            futures = [pool.submit(work, number) for number in range(len(asks))]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            # Requests that are under way are paid for: their answers are still taken.
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            while self._sessions:
                self._sessions.pop().close()

    def _watch(self, answer: Answer, fatal: bool) -> None:
        if answer.text is not None:
            self._answered, self._failed_in_a_row = True, 0
            return
        self._failed_in_a_row += 1
        if fatal or self._failed_in_a_row >= GIVE_UP:
            self._stop.set()
        if fatal:
            raise RunError(f"{self._endpoint.base_url} answers nothing: {answer.reason}; finished rewrites are kept")
        if self._failed_in_a_row >= GIVE_UP:
            raise RunError(
                f"{self._endpoint.base_url} failed for {GIVE_UP} turns in a row, at last: {answer.reason}; "
                "finished rewrites are kept, the same command goes on"
            )

    def _ask(self, ask: Ask) -> tuple[Answer, bool]:
        """An answer, and whether its failure is everybody's."""
        settings, spent_in, spent_out = self._endpoint, 0, 0
        reserved = tokens_of(f"{ask.system or ''}{ask.user}") + self._settings.max_new_tokens
        for attempt in range(settings.max_retries + 1):
            self._pace.pass_gate(reserved, self._stop)
            try:
                answer = self._attempt(ask, attempt + 1)
            except _Failure as caught:
                failure = caught
                spent_in, spent_out = spent_in + failure.input_tokens, spent_out + failure.output_tokens
                self._pace.settle(reserved, failure.input_tokens + failure.output_tokens)
            else:
                self._pace.settle(reserved, answer.input_tokens + answer.output_tokens)
                spent_in, spent_out = spent_in + answer.input_tokens, spent_out + answer.output_tokens
                return Answer(answer.text, answer.reason, spent_in, spent_out, attempt + 1), False
            pause = backoff(attempt, first=settings.backoff_seconds, longest=settings.longest_pause_seconds)
            if failure.after is not None:
                if failure.after > settings.longest_pause_seconds:
                    reason = f"{failure.reason}; the server asks for a pause of {failure.after:.0f} s"
                    return Answer(None, reason, spent_in, spent_out, attempt + 1), failure.fatal
                self._pace.hold(failure.after)
                pause = failure.after + min(pause, settings.backoff_seconds)
            if not failure.again or attempt == settings.max_retries:
                break
            if self._stop.wait(pause):
                raise Stopped
        reason = failure.reason if attempt == 0 else f"{failure.reason} ({attempt + 1} attempts)"
        return Answer(None, reason, spent_in, spent_out, attempt + 1), failure.fatal

    def _attempt(self, ask: Ask, attempts: int) -> Answer:
        settings = self._settings
        body: dict[str, object] = {
            "model": settings.model,
            "messages": ask.messages,
            "temperature": settings.temperature,
            self._endpoint.limit_name: settings.max_new_tokens,
        }
        if settings.temperature > 0:
            body["seed"] = settings.seed
        longest = LONGEST_ANSWER * self._endpoint.timeout_seconds
        try:
            reply = self._session().exchange(
                self._url,
                seconds=longest,
                most_bytes=LARGEST_ANSWER,
                data=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                auth=self._auth,
                timeout=(min(CONNECT_SECONDS, self._endpoint.timeout_seconds), self._endpoint.timeout_seconds),
                allow_redirects=False,  # a key is for whom it was given to
            )
        except TooSlow:
            raise _Failure(f"the answer was not complete within {longest:g} s", again=True) from None
        except TooLarge:
            raise _Failure(f"the answer is larger than {LARGEST_ANSWER / 2**20:g} MiB", again=True) from None
        except requests.Timeout:
            raise _Failure(f"no answer within {self._endpoint.timeout_seconds:g} s", again=True) from None
        except requests.RequestException as error:
            # Only its kind: the message of such an error may hold parts of the request.
            reason = f"the connection failed ({type(error).__name__})"
            raise _Failure(reason, again=True, fatal=not self._answered) from None
        if reply.status != 200:
            raise self._refusal(reply)
        return self._read(reply.content, attempts)

    def _session(self) -> BoundedSession:
        if not hasattr(self._local, "session"):
            self._local.session = BoundedSession()  # one per thread, so that connections stay open
            self._sessions.append(self._local.session)
        session: BoundedSession = self._local.session
        return session

    def _refusal(self, response: Reply) -> _Failure:
        status = response.status
        said = self._said(response.content)
        quota = status == 429 and b"insufficient_quota" in response.content
        fatal = status in HOPELESS or quota or (status in HOPELESS_AT_FIRST and not self._answered)
        after = _retry_after(response.headers.get("Retry-After")) if status in PASSING else None
        return _Failure(f"HTTP {status}{said}", again=status in PASSING and not quota, after=after, fatal=fatal)

    def _said(self, content: bytes) -> str:
        """The server's explanation of a failure, with the key removed."""
        text = content.decode(errors="replace")
        try:
            error = json.loads(content)["error"]
            text = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass  # it is told as it is
        text = self._quoted(text)
        return f": {text}" if text else ""

    def _quoted(self, text: str) -> str:
        text = " ".join(text.split())
        key = self._secret or ""
        if len(key) < KEY_PIECE:
            # Such as the `x` that a server without keys is given: no message is to be lost for a letter of a word.
            told = bool(key) and re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text) is not None
        else:
            told = any(key[first : first + KEY_PIECE] in text for first in range(len(key) - KEY_PIECE + 1))
        if told:
            return "(a message that repeats a part of the key, left out)"
        return f"{text[:SAID]}{'...' if len(text) > SAID else ''}"

    def _read(self, content: bytes, attempts: int) -> Answer:
        try:
            data = json.loads(content)
            choice = data["choices"][0]
            message = choice["message"]
            text, refusal = message.get("content"), message.get("refusal")
            usage = data.get("usage") or {}
            tokens_in, tokens_out = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
            if isinstance(text, list):  # some answer in parts
                text = "".join(part["text"] for part in text if part.get("type") == "text")
            if text is not None and not isinstance(text, str):
                raise TypeError("content is no text")
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            begins = self._quoted(content.decode(errors="replace"))
            raise _Failure(f"the answer is no chat completion: {begins!r}", again=True) from None
        if any("\ud800" <= character <= "\udfff" for character in text or ""):
            reason = "the answer holds half a character (a lone surrogate)"
            raise _Failure(reason, again=True, input_tokens=tokens_in, output_tokens=tokens_out)
        if refusal and not text:
            return Answer(None, f"the model refused: {self._quoted(str(refusal))}", tokens_in, tokens_out, attempts)
        if choice.get("finish_reason") == "length":
            return replace(cut_answer(self._settings.max_new_tokens, tokens_in, tokens_out), attempts=attempts)
        return Answer(text or "", "", tokens_in, tokens_out, attempts)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` asks for: a number, or a date (RFC 9110, 10.2.3); None where it says neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value)) if float(value) < float("inf") else None
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
