"""The suite's own eyes: every kind of harm that it counts is done to a workspace here, and seen."""

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.chaos.clock import Clock, build
from tests.chaos.processes import free_port
from tests.chaos.proxy import Mode, Proxy
from tests.chaos.report import COUNTED, problems, read_rounds, table
from tests.chaos.verdict import Contents, Verdict, half_written, leftovers, read, trials

SWEEP = "sweeps/space-1"


def trial(number: int, weight: float, measure: float, **more: Any) -> tuple[str, bytes]:
    point = {
        "run": f"run-{weight}",
        "trial": f"{number:04d}",
        "config": {"weight": weight},
        "validation": {"R@100": measure},
        "evaluation": None,
        "on_front": False,
        "status": "finished",
        "error": None,
        "seconds": {"training": 0.1 * number},
    } | more
    return f"{SWEEP}/trials/{number:04d}.json", json.dumps(point).encode()


def recorded(folder: str, files: dict[str, bytes]) -> Contents:
    entries = [
        {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "rows": None}
        for name, content in files.items()
    ]
    record = json.dumps({"stage": "any", "files": entries, "created": "now"}).encode()
    return {f"{folder}/{name}": content for name, content in files.items()} | {f"{folder}/record.json": record}


def workspace(*points: tuple[str, bytes]) -> Contents:
    told = {
        "hypervolume": 0.5,
        "reference": {},
        "baselines": {},
        "split": "dev",
        "trials": [json.loads(content) for _, content in points],
    }
    files = {name.removeprefix(f"{SWEEP}/"): content for name, content in points}
    files["front.json"] = json.dumps(told).encode()
    return {"workspace.json": b"{}"} | recorded("vectors/v-1", {"part.npy": b"vectors"}) | recorded(SWEEP, files)


UNDISTURBED = workspace(trial(0, 0.1, 0.8), trial(1, 0.2, 0.9))


def judged(found: Contents) -> dict[str, list[str]]:
    verdict = Verdict()
    verdict.conclude(UNDISTURBED, found)
    return verdict.problems


def test_the_same_trials_in_another_order_and_time_are_the_same() -> None:
    assert judged(workspace(trial(0, 0.2, 0.9), trial(1, 0.1, 0.8))) == {}


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (workspace(trial(0, 0.1, 0.8), trial(1, 0.2, 0.9000001)), {"different"}),
        (workspace(trial(0, 0.1, 0.8)), {"missing"}),
        (
            workspace(trial(0, 0.1, 0.8), trial(1, 0.2, 0.9, status="failed", error="actor died")),
            {"trials_failed", "missing"},
        ),
        (workspace(trial(0, 0.1, 0.8), trial(1, 0.2, 0.9), trial(2, 0.2, 0.9)), {"repeated"}),
        (UNDISTURBED | {"vectors/v-1/part.npy": b"VECTORS"}, {"half_written", "different"}),
        (UNDISTURBED | {"vectors/v-1/.part.npy.12.tmp": b"vec"}, {"leftovers"}),
        ({name: c for name, c in UNDISTURBED.items() if not name.endswith("part.npy")}, {"half_written", "different"}),
        (UNDISTURBED | {f"{SWEEP}/front.json": b'{"hyperv'}, {"half_written"}),
        (UNDISTURBED | recorded("vectors/v-1", {"part.npy": b"other vectors"}), {"different"}),
        ({name: c for name, c in UNDISTURBED.items() if not name.startswith("vectors/")}, {"missing"}),
        (UNDISTURBED | {".ray_tune/state.json": b"\x80 a pickle"}, {"leftovers"}),
    ],
)
def test_harm_is_seen(found: Contents, seen: set[str]) -> None:
    if seen == {"half_written"}:
        assert half_written(found)
        return
    assert set(judged(found)) == seen


@pytest.mark.parametrize("other", [None, trial(0, 0.3, 0.8), trial(0, 0.1, 0.7)])
def test_a_finished_trial_that_is_gone_or_says_something_else_is_lost(other: tuple[str, bytes] | None) -> None:
    verdict = Verdict()
    before = dict([trial(0, 0.1, 0.8), trial(1, 0.2, 0.9)])
    known = verdict.watch(before, {})
    assert not verdict.problems and len(known) == 2

    verdict.watch(dict([trial(1, 0.2, 0.9), *([other] if other else [])]), known)

    assert set(verdict.problems) == {"lost"} and len(verdict.lost) == 1


def test_a_folder_is_read_with_hidden_files(tmp_path: Path) -> None:
    for name, content in (UNDISTURBED | {".ray_tune/run/state.json": b"{}"}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    found = read(str(tmp_path))

    assert leftovers(found) == [".ray_tune/run/state.json"]
    assert len(trials(found)) == 2


# -- the proxy ----------------------------------------------------------------------------------------------------------

BODY = b"an object" * 1000


class _Store(BaseHTTPRequestHandler):
    """Answers every request with the same object."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Store)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found = Proxy("127.0.0.1", free_port(), ("127.0.0.1", server.server_address[1]), Random(1))
    try:
        yield found
    finally:
        found.close()
        server.shutdown()
        server.server_close()
        thread.join()


def fetched(proxy: Proxy) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.port}/object", timeout=1) as answer:
        return bytes(answer.read())


def test_the_proxy_passes_what_it_shall_not_break(proxy: Proxy) -> None:
    assert fetched(proxy) == BODY and proxy.hits == 0
    proxy.mode = "slow"
    assert fetched(proxy) == BODY and proxy.hits > 0


@pytest.mark.parametrize("mode", ["503", "silence", "cut"])
def test_the_proxy_breaks_what_it_shall(proxy: Proxy, mode: Mode) -> None:
    proxy.mode = mode
    answer: object
    try:
        answer = fetched(proxy)  # http.client takes the end of a connection for the end of the headers
    except (OSError, http.client.HTTPException) as error:
        answer = error
    assert answer != BODY and proxy.hits > 0
    if mode == "503":
        assert isinstance(answer, urllib.error.HTTPError) and answer.code == 503
        answer.close()

    proxy.mode = "through"
    assert fetched(proxy) == BODY


def test_a_proxy_without_a_store_closes_the_connection() -> None:
    proxy = Proxy("127.0.0.1", free_port(), ("127.0.0.1", free_port()), Random(1))
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
            assert client.recv(1) == b""
    finally:
        proxy.close()


# -- the clock ----------------------------------------------------------------------------------------------------------

ASKED = """
import datetime, sys, time
began, measured = time.time(), time.monotonic()
print("asked", flush=True)
sys.stdin.readline()
time.sleep(0.01)
jumped = datetime.datetime.now().timestamp()
print(round(time.time() - began), round(jumped - began), round(time.monotonic() - measured), flush=True)
"""


def test_the_wall_clock_of_a_process_jumps_and_its_other_clock_does_not(tmp_path: Path) -> None:
    library = build(tmp_path)
    if library is None:
        pytest.skip("there is no C compiler")
    clock = Clock(library, tmp_path / "clock")
    environment = {**os.environ, **clock.variables}
    command = [sys.executable, "-c", ASKED]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as asked:
        assert asked.stdout is not None and asked.stdout.readline() == "asked\n"
        clock.move(-86400)
        told, _ = asked.communicate("\n")

    assert told.split()[:2] == ["-86400", "-86400"] and 0 <= int(told.split()[2]) < 100


# -- the report ---------------------------------------------------------------------------------------------------------


def line(seed: str, **harm: list[str]) -> dict[str, Any]:
    verdict = vars(Verdict(trials_finished=6)) | harm
    faults = [{"kind": "node killed", "hit": True}, {"kind": "S3 is slow", "hit": False}]
    plan = {"work": "sweep", "remote": True, "workers": 0}
    return {
        "seed": seed,
        "date": "2026-11-30",
        "plan": plan,
        "faults": faults,
        "attempts": 2,
        "seconds": 60.0,
        "verdict": verdict,
    }


def test_the_report_counts_what_was_met_and_tells_each_harm_once(tmp_path: Path) -> None:
    rounds = [line("7/0"), line("7/1", lost=["0003.json", "0003.json", "0004.json"])]
    (tmp_path / "rounds.jsonl").write_text("\n".join(map(json.dumps, rounds)) + '\n{"seed": "7/2", "fau')

    kept = read_rounds(tmp_path)
    text = table(kept)

    assert kept == rounds
    assert "| node killed | 0 | 0 | 2 | 0 | 2 |" in text and "S3 is slow" not in text
    assert "2 further faults met nothing" in text and "| trials finished | 12 |" in text
    assert f"| {COUNTED['lost']} | 2 |" in text and f"| {COUNTED['different']} | 0 |" in text
    assert list(problems(kept)) == ["7/1: finished trials lost: 0003.json; 0004.json"]
