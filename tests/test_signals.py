"""Whoever ends a command gets the exit code of the signal and one sentence; what the command had started is gone."""

import contextlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from tests.chat_server import ChatServer, completion
from tests.waiting import hearing_signals

ROOT = Path(__file__).parents[1]
KEPT = "interrupted; what was finished is kept"


@contextlib.contextmanager
def started(command, environment, **options):
    """A process with its own session; nothing of it is left after the block."""
    process = subprocess.Popen(
        hearing_signals([sys.executable, *command]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT / "platform")},
        start_new_session=True,
        **options,
    )
    seen = set()
    try:
        yield process, seen
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            seen |= set(psutil.Process(process.pid).children(recursive=True))
        process.kill()
        process.communicate()
        for child in seen:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def wait_for(condition, process=None, *, limit=300.0):
    ended = time.monotonic() + limit
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < ended, "it never came"
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_signal_has_its_exit_code_and_one_sentence(number, code, imported_copy, environment):
    asked = threading.Event()

    def slow(question, attempt):
        asked.set()
        time.sleep(0.05)
        return completion(f"about {question}")

    with ChatServer(slow) as server:
        command = [
            "-m",
            "retort.cli",
            "rewrites",
            "generate",
            "--teacher",
            "t",
            "--split",
            "train",
            "-w",
            imported_copy,
        ]
        command += ["--base-url", server.url, "--model", "m", "--concurrency", "1", "--yes"]
        with started(command, environment | {"OPENAI_API_KEY": "sk-signal-0123456789abcdef"}) as (process, _):
            wait_for(asked.is_set, process)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)

    assert process.returncode == code
    assert err.splitlines()[-1] == KEPT and "Traceback" not in err


def test_a_signal_that_the_starter_ignores_stays_ignored(imported_copy, environment):
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from retort.cli.process import Signals\n"
        "import os\n"
        "with Signals() as signals:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "assert signals.received is None\n"
    )
    with started(["-c", code], environment) as (process, _):
        assert process.communicate(timeout=60) == ("", "") and process.returncode == 0


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_job_on_ray_ends_in_order_and_leaves_no_process(number, code, imported_copy, experiment_file, environment):
    command = [ROOT / "jobs" / "prepare_shards.py", experiment_file, "-w", imported_copy]
    with started(command, environment) as (process, seen):

        def works():
            seen.update(psutil.Process(process.pid).children(recursive=True))
            return any("MapBatches" in child.name() for child in seen if child.is_running())

        wait_for(works, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        _, left = psutil.wait_procs(seen, timeout=20)

    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1] == KEPT
    # Ray's own report is of a signal "received at time=", with a stack of C++.
    assert "received at" not in err and "Traceback" not in err and "PC: @" not in err
    assert not [child for child in left if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


TREE = """
import os, subprocess, sys, time
if sys.argv[2] != "0":
    # A session of its own, which no signal to a group reaches, and a parent that has ended.
    subprocess.Popen([sys.executable, *sys.argv[:2], str(int(sys.argv[2]) - 1)], start_new_session=True)
with open(sys.argv[1], "a") as stream:
    stream.write(f"{os.getpid()}\\n")
print("postgresql://user:ui-s3cret-1@host/db", os.environ["STORE"], flush=True)
if sys.argv[2] != "1":
    time.sleep(600)
"""
PARENT = """
import sys, time
from retort.cli.process import without_secrets
from retort.cli.servers import supervise
with without_secrets(), supervise([sys.executable, *sys.argv[1:]], {"STORE": "postgresql://u:ui-s3cret-2@host/db"}) as server:
    server.wait()
"""


def tree(tmp_path):
    (tmp_path / "tree.py").write_text(TREE)
    return [tmp_path / "tree.py", tmp_path / "pids", "3"]


def pids(tmp_path):
    path = tmp_path / "pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(numbers):
    found = []
    for number in numbers:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
                found.append(number)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_servers_end_with_their_parent_however_it_ends(number, tmp_path, environment):
    (tmp_path / "parent.py").write_text(PARENT)
    with started([tmp_path / "parent.py", *tree(tmp_path)], environment) as (process, seen):
        wait_for(lambda: len(pids(tmp_path)) == 4, process)
        seen.update(psutil.Process(number) for number in alive(pids(tmp_path)))
        words = [word for child in seen for word in child.cmdline()]
        process.send_signal(number)
        wait_for(lambda: not alive(pids(tmp_path)), limit=60)
        _, err = process.communicate(timeout=60)

    assert len(seen) >= 3 and not [word for word in words if "s3cret" in word]
    assert "postgresql://user:***@host/db" in err and "s3cret" not in err


def free_port():
    """A port that no program is given by itself: those that the system hands out may be taken before the server has it."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("100 ports are taken")


@pytest.mark.slow
def test_the_page_ends_with_all_that_mlflow_had_started(tmp_path, imported_copy, environment):
    store = f"sqlite:///{tmp_path}/shown.db"
    port = free_port()
    command = ["-m", "retort.cli", "ui", "-w", imported_copy, "--port", port, "--no-optuna"]
    with started(command, environment | {"MLFLOW_TRACKING_URI": store}) as (process, seen):

        def answers():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
            except OSError:
                return False

        threading.Thread(target=process.stderr.read, daemon=True).start()
        wait_for(answers, process, limit=600)
        seen.update(psutil.Process(process.pid).children(recursive=True))
        words = [word for child in seen for word in child.cmdline()]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
        _, left = psutil.wait_procs(seen, timeout=20)

    assert len(seen) > 3 and not left and store not in words
    assert (tmp_path / "shown.db").is_file()
