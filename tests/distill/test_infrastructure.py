"""Which deaths say nothing about a training's settings, and what is done about them on a worker group."""

import botocore.exceptions
import pytest
import ray.exceptions
import torch
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError, WorkerHealthCheckFailedError

from retort.distill.group import _fit_in_spite_of_losses
from retort.distill.infrastructure import InfrastructureError, infrastructure_failure
from retort.errors import ConfigError, DataError, InputError, RunError, WorkspaceError
from retort.progress import silent


def raised_from(error, cause):
    error.__cause__ = cause
    return error


def of_task(cause):
    """An error as Ray hands it to whoever waits for an actor's method."""
    return ray.exceptions.RayTaskError("train", "Traceback (most recent call last): ...", cause).as_instanceof_cause()


KILLED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: ... code 2."
NODE = "The actor died because its node has died. Node Id: 93f6"
MEMORY = "Task was killed due to the node running low on memory. Memory on the node was 15.2GB / 16GB, which exceeds"
INIT = "The actor died because of an error raised in its creation task, ray::T.__init__()\nImportError: no module torch"
GONE = "[gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.2]:4711"
LOW = "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"


def actor_error(message, **words):
    return ray.exceptions.RayActorError("ab", message, **words)


def group(**failures):
    return WorkerGroupError("a worker failed", {int(rank[1:]): error for rank, error in failures.items()})


OWN = {
    "not finite": RunError("the loss of step 3 is not finite"),
    "settings": ConfigError(["training.workers: 2"]),
    "input": InputError("3 training turns are fewer than 4"),
    "a value": ValueError("K must be at least 2"),
    "torch": RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    "the GPU's memory": torch.OutOfMemoryError("CUDA out of memory"),
    "through Ray": of_task(RunError("the loss of step 3 is not finite")),
    "of a group": group(r0=RunError("the loss is not finite"), r1=RunError("the loss is not finite")),
    "of one worker, whom the others miss": group(r0=RuntimeError(GONE), r1=ValueError("K must be at least 2")),
    "cancelled by nobody": KeyError("score"),
}
OTHERS = {
    "killed": (actor_error(KILLED), "its process was killed, or crashed"),
    "asked to end": (actor_error("... The process receives a SIGTERM."), "its process was told to end"),
    "node": (actor_error(NODE), "its machine died"),
    "preempted": (actor_error(NODE, preempted=True), "its machine was taken back"),
    "Ray's memory monitor": (actor_error(MEMORY), "out of memory"),
    "a task's memory": (ray.exceptions.OutOfMemoryError(MEMORY), "out of memory"),
    "no start": (actor_error(INIT, actor_init_failed=True), "could not start: ImportError: no module torch"),
    "worker": (ray.exceptions.WorkerCrashedError(), "WorkerCrashedError"),
    "object": (ray.exceptions.ObjectLostError("ff" * 28, None, "here"), "ObjectLostError"),
    "node's error": (ray.exceptions.NodeDiedError("gone"), "NodeDiedError: gone"),
    "memory": (MemoryError(), "out of memory"),
    "torch's memory": (RuntimeError(LOW), "out of memory"),
    "disk": (OSError(28, "No space left on device"), "No space left on device"),
    "network": (ConnectionResetError("reset"), "ConnectionResetError: reset"),
    "time": (TimeoutError("no answer"), "TimeoutError: no answer"),
    "store": (botocore.exceptions.EndpointConnectionError(endpoint_url="http://s3"), "EndpointConnectionError"),
    "store's answer": (botocore.exceptions.ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), "SlowDown"),
    "device": (torch.AcceleratorError("uncorrectable ECC error"), "the GPU failed"),
    "group": (RuntimeError(GONE), "a worker of the group is gone"),
    "torch's group": (torch.distributed.DistBackendError("NCCL error"), "a worker of the group is gone"),
    "workspace": (WorkspaceError("workspace w has no vectors/x"), "has no vectors/x"),
    "damaged": (DataError("broken", path="x.json", line=3), "x.json:3: broken"),
    "told by a run's error": (raised_from(RunError("training failed"), OSError(5, "I/O error")), "I/O error"),
    "through Ray": (of_task(OSError(28, "No space left on device")), "No space left on device"),
    "found by the trial": (of_task(InfrastructureError("out of memory")), "out of memory"),
    "a worker killed": (group(r0=RuntimeError(GONE), r1=actor_error(KILLED)), "its process was killed"),
    "a worker killed, the others fail of it": (group(r0=KeyError("x"), r1=actor_error(NODE)), "its machine died"),
    "a worker that does not answer": (
        group(
            r0=RuntimeError(GONE), r1=WorkerHealthCheckFailedError("A worker health check failed.", actor_error(KILLED))
        ),
        "its process was killed, or crashed",
    ),
    "a group that does not start": (
        ControllerError(WorkerGroupStartupTimeoutError(num_workers=2)),
        "The worker group startup timed out",
    ),
    "workers that only miss each other": (group(r0=RuntimeError(GONE)), "a worker of the group is gone"),
}


@pytest.mark.parametrize("error", OWN.values(), ids=OWN)
def test_an_exception_of_the_trainings_own_is_its_result(error):
    assert infrastructure_failure(error) is None


@pytest.mark.parametrize(("error", "words"), OTHERS.values(), ids=OTHERS)
def test_a_death_of_what_it_runs_on_is_none(error, words):
    found = infrastructure_failure(error)
    assert found is not None and words in found and "\n" not in found


class Fits:
    """Trains; the first attempts fail with the errors given."""

    def __init__(self, *errors):
        self.errors, self.attempts = list(errors), 0

    def __call__(self):
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)


def test_a_group_that_lost_a_worker_is_started_again_and_told_of():
    fit, told = Fits(*[group(r1=actor_error(KILLED))] * 2), []
    _fit_in_spite_of_losses(fit, 3, lambda *words: told.append(words[-1]))
    assert fit.attempts == 3
    assert told == [
        f"the workers were lost: its process was killed, or crashed; tried again, {attempt} of 3" for attempt in (1, 2)
    ]


def test_a_group_that_is_always_lost_is_no_result():
    fit = Fits(*[group(r1=actor_error(NODE))] * 4)
    with pytest.raises(
        InfrastructureError, match=r"its machine died \(4 times; the next start goes on from its last state\)"
    ):
        _fit_in_spite_of_losses(fit, 3, silent)
    assert fit.attempts == 4


def test_a_workers_own_exception_is_not_tried_again():
    fit = Fits(group(r0=RunError("the loss is not finite"), r1=RunError("the loss is not finite")))
    with pytest.raises(RunError, match=r"^the loss is not finite$") as caught:
        _fit_in_spite_of_losses(fit, 3, silent)
    assert fit.attempts == 1 and not isinstance(caught.value, InfrastructureError)
