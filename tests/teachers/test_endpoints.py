"""An endpoint against a real HTTP server that refuses, fails, hangs and answers garbage."""

import contextlib
import email.utils
import json
import socket
import threading
import time

import pytest
from tests.chat_server import ChatServer, completion, refusal
from tests.waiting import patience

from retort.config import RewritingConfig
from retort.errors import ConfigError, RunError
from retort.records import Turn
from retort.teachers.endpoints import GIVE_UP, Endpoint, api_key, tokens_of
from retort.teachers.prompts import load_prompt
from retort.teachers.rewriter import rewrite_turns

KEY = "sk-test-0123456789abcdef"


def turns(*questions):
    return [Turn(f"c_{number}", "c", 1, (), question) for number, question in enumerate(questions)]


def settings(server, **endpoint):
    quick = {"backoff_seconds": 0.01, "timeout_seconds": 5.0, "base_url": server.url}
    own = {name: endpoint.pop(name) for name in ("temperature", "max_new_tokens") if name in endpoint}
    return RewritingConfig(backend="endpoint", model="m", endpoint=quick | endpoint, **own)


def asked(server, *questions, **endpoint):
    return rewrite_turns(turns(*questions), load_prompt("self_contained"), Endpoint(settings(server, **endpoint), KEY))


def scripted(*replies):
    return lambda question, attempt: replies[min(attempt, len(replies) - 1)]


def test_every_turn_is_asked_once_in_the_protocol():
    def slow(question, attempt):
        time.sleep(0.03)
        return completion(f"about {question}")

    with ChatServer(slow) as server:
        outcomes = asked(server, *(f"q{n}?" for n in range(20)), concurrency=4)

    assert [outcome.rewrite for outcome in outcomes] == [f"about q{n}?" for n in range(20)]
    assert [outcome.query_id for outcome in outcomes] == [f"c_{n}" for n in range(20)]
    assert {(o.input_tokens, o.output_tokens, o.attempts) for o in outcomes} == {(100, 10, 1)}
    assert set(server.asked.values()) == {1} and server.keys == {f"Bearer {KEY}"}
    assert 1 < server.most_at_once <= 4
    body = server.bodies[0]
    assert body | {"messages": []} == {"model": "m", "messages": [], "temperature": 0.0, "max_tokens": 256}
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_settings_reach_the_body_and_no_key_means_no_header():
    with ChatServer() as server:
        config = settings(server, temperature=0.7, max_new_tokens=9, limit_name="max_completion_tokens")
        rewrite_turns(turns("q"), load_prompt("canard"), Endpoint(config, None))

    (body,) = server.bodies
    assert (body["temperature"], body["seed"], body["max_completion_tokens"]) == (0.7, 0, 9)
    assert "max_tokens" not in body and server.keys == {None}
    assert body["messages"] == [{"role": "user", "content": "q"}]


@pytest.mark.parametrize(
    "first",
    [
        refusal(500),
        refusal(503),
        refusal(408),
        refusal(429),
        (200, {}, b"<html>busy</html>"),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [{"message": {"content": 7}}]}'),
        (200, {}, b"[" * 100_000),
        0.0,
    ],
    ids=["500", "503", "408", "429", "html", "no choice", "a number", "nested", "cut"],
)
def test_what_fails_in_passing_is_tried_again(first):
    with ChatServer(scripted(first, first, completion("fine"))) as server:
        (outcome,) = asked(server, "q")

    assert (outcome.rewrite, outcome.attempts) == ("fine", 3)
    assert server.asked == {"q": 3}


def test_a_server_that_hangs_is_left_after_the_time_out():
    with ChatServer(scripted(30.0, completion("fine"))) as server:
        began = time.monotonic()
        (outcome,) = asked(server, "q", timeout_seconds=0.3)

    assert outcome.rewrite == "fine" and 0.3 <= time.monotonic() - began < patience(5)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_by_every_request(form):
    def script(question, attempt):
        if question == "first" and attempt == 0:
            stamp = email.utils.formatdate(time.time() + 2, usegmt=True)
            return refusal(429, Retry_After="1" if form == "seconds" else stamp)
        return completion("fine")

    with ChatServer(script) as server:
        outcomes = asked(server, "first", "second", "third", concurrency=1)

    assert [outcome.rewrite for outcome in outcomes] == ["fine"] * 3
    assert server.times[1] - server.times[0] >= (1.0 if form == "seconds" else 0.9)
    assert server.asked == {"first": 2, "second": 1, "third": 1}


def test_a_pause_longer_than_the_longest_is_not_waited_for():
    with ChatServer(scripted(refusal(429, "slow down", Retry_After="3600"))) as server:
        (outcome,) = asked(server, "q")

    assert outcome.rewrite is None and server.asked == {"q": 1}
    assert outcome.reason == "HTTP 429: slow down; the server asks for a pause of 3600 s"


@pytest.mark.parametrize(
    ("reply", "reason", "requests"),
    [
        (refusal(400, "too long"), "HTTP 400: too long", 1),
        (refusal(500, "broken"), "HTTP 500: broken (3 attempts)", 3),
        ((502, {}, b""), "HTTP 502 (3 attempts)", 3),
        ((200, {}, b"garbage"), "the answer is no chat completion: 'garbage' (3 attempts)", 3),
        (completion(""), "the answer is empty", 1),
        (completion(None), "the answer is empty", 1),
        (completion("Who is", finish="length"), "the answer was cut at 256 tokens; raise --max-new-tokens", 1),
        (completion(None, refusal="I can't"), "the model refused: I can't", 1),
        (completion("\ud83d"), "the answer holds half a character (a lone surrogate) (3 attempts)", 3),
    ],
)
def test_a_turn_that_fails_is_an_outcome_and_the_others_go_on(reply, reason, requests):
    def script(question, attempt):
        return reply if question == "bad" else completion("fine")

    with ChatServer(script) as server:
        outcomes = asked(server, "a", "bad", "b", concurrency=1, max_retries=2)

    assert [outcome.rewrite for outcome in outcomes] == ["fine", None, "fine"]
    assert outcomes[1].reason == reason
    assert server.asked == {"a": 1, "bad": requests, "b": 1}


def test_answers_that_were_thrown_away_are_paid_for_too():
    with ChatServer(scripted(completion("\ud83d"), completion("fine"))) as server:
        (outcome,) = asked(server, "q")
    assert (outcome.input_tokens, outcome.output_tokens, outcome.attempts) == (200, 20, 2)


def test_parts_of_an_answer_are_put_together():
    body = {"choices": [{"message": {"content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]}}]}
    with ChatServer(scripted((200, {}, json.dumps(body).encode()))) as server:
        (outcome,) = asked(server, "q")
    assert (outcome.rewrite, outcome.input_tokens) == ("a b", 0)


@pytest.mark.parametrize(
    "reply",
    [
        refusal(401, "wrong key"),
        refusal(404, "no model m"),
        (307, {"Location": "http://127.0.0.1:9/"}, b""),
        (429, {}, b'{"error": {"code": "insufficient_quota", "message": "pay"}}'),
    ],
    ids=["401", "404", "redirect", "quota"],
)
def test_what_would_fail_for_every_turn_ends_the_work_at_once(reply):
    with ChatServer(scripted(reply)) as server:
        with pytest.raises(RunError, match=rf"answers nothing: HTTP {reply[0]}.*finished rewrites are kept"):
            asked(server, *(f"q{n}" for n in range(100)), concurrency=2)
        assert sum(server.asked.values()) <= 4


def test_nobody_there_ends_the_work():
    with ChatServer() as server:
        pass
    with pytest.raises(RunError, match=r"answers nothing: the connection failed \(ConnectionError\)"):
        asked(server, "a", "b", max_retries=1)


def test_a_server_that_is_gone_half_way_ends_the_work_after_so_many_turns():
    def script(question, attempt):
        return completion("fine") if int(question) < 5 else refusal(500)

    outcomes = []
    with ChatServer(script) as server:
        endpoint = Endpoint(settings(server, concurrency=1, max_retries=0), KEY)
        with pytest.raises(RunError, match=f"failed for {GIVE_UP} turns in a row, at last: HTTP 500"):
            rewrite_turns(
                turns(*map(str, range(200))), load_prompt("self_contained"), endpoint, on_outcome=outcomes.append
            )

    assert [o.rewrite for o in outcomes] == ["fine"] * 5 + [None] * GIVE_UP
    assert sum(server.asked.values()) == 5 + GIVE_UP


def test_a_limit_of_requests_is_kept():
    with ChatServer() as server:
        began = time.monotonic()
        asked(server, *"abcdef", requests_per_minute=600, concurrency=6)
        assert time.monotonic() - began >= 5 * 0.1
    assert sum(server.asked.values()) == 6


def test_what_a_server_repeats_of_the_key_is_left_out():
    for shown in (KEY, KEY[:9], f"[{KEY[5:14]}]"):
        for reply in (
            refusal(400, f"bad key {shown}"),
            (400, {}, f"bad {shown}".encode()),
            (200, {}, f"Authorization: {shown}".encode()),
            completion(None, refusal=f"not with {shown}"),
        ):
            with ChatServer(scripted(reply)) as server:
                (outcome,) = asked(server, "q", max_retries=0)
            assert outcome.rewrite is None and shown not in outcome.reason and "part of the key" in outcome.reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("context too long", "HTTP 400: context too long"),
        ("bad key: x.", "HTTP 400: (a message that repeats a part of the key, left out)"),
    ],
)
def test_a_short_key_is_looked_for_as_a_word(message, reason):
    with ChatServer(scripted(refusal(400, message))) as server:
        endpoint = Endpoint(settings(server), "x")
        (outcome,) = rewrite_turns(turns("q"), load_prompt("self_contained"), endpoint)
    assert outcome.reason == reason


def test_the_key_comes_from_the_environment_alone(monkeypatch):
    with ChatServer() as server:
        own = settings(server, key_env="MY_KEY").endpoint
    monkeypatch.delenv("MY_KEY", raising=False)
    assert api_key(own) is None
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    assert api_key(own) == KEY
    monkeypatch.setenv("MY_KEY", "sk-half\nother")
    with pytest.raises(ConfigError, match="the key in MY_KEY holds white space") as caught:
        api_key(own)
    assert "sk-half" not in str(caught.value)


@pytest.mark.parametrize("netrc", [True, False])
def test_netrc_does_not_take_the_keys_place(tmp_path, monkeypatch, netrc):
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login somebody password else\n" if netrc else "")
    monkeypatch.setenv("NETRC", str(path))
    with ChatServer() as server:
        asked(server, "q")
        rewrite_turns(turns("r"), load_prompt("self_contained"), Endpoint(settings(server), None))
    assert server.keys == {f"Bearer {KEY}", None}


def test_tokens_are_about_four_bytes():
    assert [tokens_of(text) for text in ("", "a", "abcd", "abcde", "über")] == [0, 1, 1, 2, 2]


class RawServer:
    """A real server on a socket, which answers every request as ``behave(connection, closing)`` does; it can send what no HTTP
    library would: a byte now and then, or bytes without end."""

    def __init__(self, behave):
        self.behave, self.closing, self.threads = behave, threading.Event(), []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1"

    def __enter__(self):
        self.threads.append(threading.Thread(target=self._accept))
        self.threads[0].start()
        return self

    def _accept(self):
        while not self.closing.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            self.behave(connection, self.closing)

    def __exit__(self, *error):
        self.closing.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for thread in self.threads:
            thread.join()


def drips(head, drop):
    def behave(connection, closing):
        connection.sendall(head)
        while not closing.wait(0.05):
            connection.sendall(drop)

    return behave


def floods(connection, closing):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    while not closing.is_set():
        connection.sendall(block)


@pytest.mark.parametrize(
    "behave",
    [
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
        drips(b"HTTP/1.1 200 OK\r\n\r\n", b" "),  # without a length it ends where the connection does
        drips(b"HTTP/1.1 200 OK\r\n", b"X-Never: ends\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["body", "no length", "headers", "chunks"],
)
def test_a_server_that_drips_is_left_when_the_time_is_over(behave):
    with RawServer(behave) as server:
        began = time.monotonic()
        (outcome,) = asked(server, "q", timeout_seconds=0.5, max_retries=0)

    assert outcome.rewrite is None and outcome.reason == "the answer was not complete within 2.5 s"
    assert 2.5 <= time.monotonic() - began < 10  # each single byte came well within the time-out


def test_a_server_that_never_stops_is_left_before_the_memory_is_full():
    with RawServer(floods) as server:
        (outcome,) = asked(server, "q", max_retries=0)

    assert outcome.rewrite is None and outcome.reason == "the answer is larger than 16 MiB"
