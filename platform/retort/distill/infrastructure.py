"""What a training or a trial can die of that says nothing about its settings: a process, a machine, a store, a network.

Such a death is no result. Whoever runs trainings tries them again elsewhere; the training's own exceptions (settings that do
not go together, a loss that is not finite, whatever torch refuses) come again wherever it runs, and are its result.
"""

from collections.abc import Iterator
from typing import Final

from retort.errors import DataError, RetortError, RunError, WorkspaceError

__all__ = ["RETRIES", "InfrastructureError", "infrastructure_failure"]

RETRIES: Final = 3  # of a training on a worker group; a sweep's search space says its own

# Libraries that reach stores and machines, whose errors need not be Python's own; by name, since few are installed.
_REMOTE = ("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "s3fs", "urllib3")
# RuntimeErrors of torch that have no class of their own: the host's memory ran out, or another worker of the group is gone.
_OF_THE_MACHINE = ("DefaultCPUAllocator", "gloo/transport", "Connection closed by peer", "Connection reset by peer")
_OUT_OF_MEMORY = "running low on memory"  # as Ray's memory monitor says; a death by any signal guesses at the kernel's
_GONE = "a worker of the group is gone"


class InfrastructureError(RunError):
    """A machine, a process, a store or a network failed under what was run, which is no result and may be run again."""


def infrastructure_failure(error: BaseException | None) -> str | None:
    """What failed under a training, in a few words; None where the error is the training's own.

    Args:
        error: What was raised, by the training itself or by Ray about it.
    """
    found = [words for one in _chain(error) if (words := _of(one)) is not None]
    return found[0] if found else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from; Ray's wrapping of a task's error is followed to the error itself."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if "ray" in _root(error) and isinstance(cause := getattr(error, "cause", None), BaseException):
            error = cause  # the wrapping is an instance of the error's class too, with a traceback for its message
            continue
        yield error
        error = error.__cause__


def _of(error: BaseException) -> str | None:
    if isinstance(error, InfrastructureError):
        return str(error)
    if isinstance(error, RetortError):
        # Neither is wrong with a setting: what the trial reads is missing or damaged, and was not when the sweep began.
        return _line(error) if isinstance(error, WorkspaceError | DataError) else None
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError | EOFError) or _root(error) & set(_REMOTE):
        return f"{type(error).__name__}: {_line(error)}"
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _OF_THE_MACHINE):
        return "out of memory" if "DefaultCPUAllocator" in str(error) else f"{_GONE}: {_line(error)}"
    return _of_torch(error) or _of_ray(error)


def _root(error: BaseException) -> set[str]:
    """The libraries that an error's classes come from."""
    return {kind.__module__.partition(".")[0] for kind in type(error).__mro__}


def _of_torch(error: BaseException) -> str | None:
    if "torch" not in _root(error):
        return None
    import torch
    import torch.distributed

    if isinstance(error, torch.OutOfMemoryError):
        return None  # of the GPU's memory: a batch that is too large for it is so everywhere
    if isinstance(error, torch.AcceleratorError):
        return f"the GPU failed: {_line(error)}"
    if isinstance(error, torch.distributed.DistError):
        return f"{_GONE}: {_line(error)}"
    return None


def _of_ray(error: BaseException) -> str | None:
    if "ray" not in _root(error):
        return None
    from ray.exceptions import OutOfMemoryError, RayActorError, RayError
    from ray.train import TrainingFailedError

    if isinstance(error, TrainingFailedError):
        return _of_group(error)
    if not isinstance(error, RayError):
        # What Ray Train says of a worker that does not answer holds what became of it; its other errors are of itself.
        if isinstance(inner := getattr(error, "health_check_failure", None), BaseException):
            return infrastructure_failure(inner) or _line(error)
        return _line(error) if "RayTrainError" in {kind.__name__ for kind in type(error).__mro__} else None
    text = str(error)
    if isinstance(error, OutOfMemoryError) or _OUT_OF_MEMORY in text:
        return "out of memory"
    if not isinstance(error, RayActorError):
        return f"{type(error).__name__}: {_line(error)}"
    if error.preempted:
        return "its machine was taken back"
    if error.actor_init_failed:
        return f"its process could not start: {text.strip().splitlines()[-1].strip()}"
    if "its node has died" in text or "actor's node" in text:
        return "its machine died"
    return "its process was told to end" if "SIGTERM" in text else "its process was killed, or crashed"


def _of_group(error: BaseException) -> str | None:
    """What failed under a worker group, whose other workers fail because of one: one that says so is believed last."""
    workers = getattr(error, "worker_failures", {}).values()
    found = [infrastructure_failure(one) for one in (*workers, getattr(error, "controller_failure", None)) if one]
    for words in found:
        if words is not None and not words.startswith(_GONE):
            return words
    return None if None in found else next(iter(found), _line(error))


def _line(error: BaseException) -> str:
    """The first line of an error that says anything."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
