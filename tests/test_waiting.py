"""How tests wait: for a condition, with a limit that grows with the machine's load, and nothing is left behind."""

import contextlib
import os
import subprocess
import sys
import time

import psutil
import pytest
from tests.waiting import Started, patience, wait_until

# Starts a process in a session of its own, which nobody waits for, says its id and goes.
LEAVES_ONE = """
import subprocess, sys
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(left.pid, flush=True)
"""


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_process_left_behind_is_ended_whatever_happens(fails):
    left = None
    with pytest.raises(ZeroDivisionError) if fails else contextlib.nullcontext(), Started() as started:
        process = started.start([sys.executable, "-c", LEAVES_ONE], stdout=subprocess.PIPE, text=True)
        left = int(process.stdout.readline())
        process.wait()
        assert runs(left), "it outlives who started it"
        if fails:
            raise ZeroDivisionError
    assert left is not None and not runs(left)


def test_what_another_test_started_is_left_alone():
    with Started() as mine, Started() as others:
        kept = others.start([sys.executable, "-c", "import time; time.sleep(600)"])
        mine.start([sys.executable, "-c", "import time; time.sleep(600)"])
        mine.end()
        assert kept.poll() is None


def test_a_finished_process_tells_what_it_wrote():
    code = "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"
    with Started() as started:
        done = started.finish([sys.executable, "-c", code], env=dict(os.environ))
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err")


def test_a_condition_that_comes_true_gives_its_value():
    came = iter([0, "", None, "it"])
    assert wait_until(lambda: next(came), "it") == "it"


def test_a_process_that_ends_too_early_is_told_at_once():
    began = time.monotonic()
    with Started() as started:
        process = started.start([sys.executable, "-c", "import sys; sys.exit(4)"])
        with pytest.raises(pytest.fail.Exception, match="the file: the process ended before, with exit code 4"):
            wait_until(lambda: False, "the file", seconds=600, process=process)
    assert time.monotonic() - began < patience(30)


def test_a_condition_that_never_comes_true_is_given_up_after_the_measured_limit():
    began = time.monotonic()
    with pytest.raises(pytest.fail.Exception, match="never: not within"):
        wait_until(lambda: False, "never", seconds=0.05)
    assert time.monotonic() - began > 0.05
    assert patience(2) >= 2
