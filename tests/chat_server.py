"""A real HTTP server that speaks the chat completions protocol, and misbehaves as it is told.

It keeps these properties of the real thing: one POST per turn to ``/v1/chat/completions``, a bearer key, a JSON body with
messages, an answer with choices and usage; what it is asked it counts.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, dict[str, str], bytes]


def completion(text: str | None, *, finish: str = "stop", **more: object) -> Reply:
    body = {
        "choices": [{"message": {"role": "assistant", "content": text, **more}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }
    return 200, {}, json.dumps(body).encode()


def refusal(status: int, message: str = "no", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps({"error": {"message": message}}).encode()


class ChatServer:
    """A context manager; ``script(question, attempt)`` gives the reply to the nth request (from 0) for a question.

    Attributes:
        asked: Requests by question.
        times: When each request came, in seconds of a rising clock.
        keys: ``Authorization`` headers that were seen.
        most_at_once: The largest number of requests under way.
    """

    def __init__(self, script: Callable[[str, int], Reply | float] | None = None) -> None:
        self.script = script or (lambda question, attempt: completion(f"about {question}"))
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.times: list[float] = []
        self.keys: set[str | None] = set()
        self.bodies: list[dict] = []
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, path: str, key: str | None, body: dict) -> Reply | float:
        question = body["messages"][-1]["content"].split("Latest question: ")[-1].split("\n")[0]
        with self._lock:
            attempt = self.asked[question]
            self.asked[question] += 1
            self.times.append(time.monotonic())
            self.keys.add(key)
            self.bodies.append(body)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        if path != "/v1/chat/completions":
            return refusal(404, f"no such path {path}")
        return self.script(question, attempt)

    def _handler(outer) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = outer._take(self.path, self.headers.get("Authorization"), body)
                try:
                    if isinstance(reply, float):  # silence for so many seconds, then the line is cut
                        outer.closing.wait(reply)
                        self.close_connection = True
                        return
                    status, headers, content = reply
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(content)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                    question = body["messages"][-1]["content"].split("Latest question: ")[-1].split("\n")[0]
                    with outer._lock:
                        outer.answered[question] += status == 200
                except OSError:
                    self.close_connection = True  # whoever asked is gone
                finally:
                    with outer._lock:
                        outer._now -= 1

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
