"""Ray for the stages: the running cluster where there is one, otherwise a local one that is as quiet as it can be."""

import contextlib
import functools
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import psutil

from retort.errors import InputError, RunError
from retort.identity import canonical_json

__all__ = [
    "cluster_cpus",
    "cluster_gpus",
    "ensure_ray",
    "holds_processors",
    "map_units",
    "on_cluster",
    "quiet_ray_data",
    "smallest_machine",
    "started_locally",
]

PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


def ensure_ray(*, cpus: int | None = None) -> None:
    """Connect to the cluster that ``RAY_ADDRESS`` names (a submitted job's), or start a local one, once per process.

    Args:
        cpus: Processors of a local cluster; None: all of this machine's. A running cluster keeps its own.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Stages report their own progress; Ray Data's would be a second one between the lines.
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    # Workers of a local cluster inherit the environment, and must find this package in a checkout that is not installed.
    path = os.environ.get("PYTHONPATH", "")
    if PACKAGE_ROOT not in path.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (PACKAGE_ROOT, path) if part)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Tune's own tables would stand between the lines of the sweep's progress.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # A failed trial is told of in one line; its traceback is no news to whoever set a learning rate too high.
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
    import ray

    if ray.is_initialized():
        return
    _keep_off_standard_output()
    with warnings.catch_warnings(), _own_signals():
        warnings.simplefilter("ignore", FutureWarning)
        if on_cluster():
            _connect()
            return
        started_locally(
            lambda: ray.init(
                "local",  # also where somebody else's head runs on this machine
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=512 * 1024**2,  # units pass file names, not vectors
            )
        )


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    # Ray takes SIGTERM for itself, in Python and in C++, whose handler ends the process with a stack of its own.
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        if not callable(before):
            raise
        before(signal.SIGTERM, None)  # it came while Ray was starting, and Ray's handler exits with a code of its own
        raise
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _connect() -> None:
    import ray
    from ray.exceptions import AuthenticationError

    address = os.environ["RAY_ADDRESS"]
    try:
        ray.init(logging_level=logging.WARNING)
    except ConnectionError as error:
        raise InputError(
            f"no Ray cluster answers at RAY_ADDRESS={address}: {error}. A cluster that asks for a token does not answer whoever "
            "has none: set RAY_AUTH_MODE=token, and the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN_PATH"
        ) from error
    except AuthenticationError as error:
        raise InputError(
            f"the Ray cluster at RAY_ADDRESS={address} wants a token, and got none or another one: set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token to a copy of the file with the cluster's token"
        ) from error


def _keep_off_standard_output() -> None:
    """Have Ray say on standard error what it says of workers that died: standard output is the command's, such as JSON."""
    from ray._private import worker

    if isinstance(worker.print_to_stdstream, functools.partial):
        return  # done before
    worker.print_to_stdstream = functools.partial(_said, worker.print_to_stdstream)


def _said(say: Callable[..., None], data: dict[str, Any], ignore_prefix: bool) -> None:
    say(data | {"is_err": True}, ignore_prefix=ignore_prefix)


def started_locally(start: Callable[[], object]) -> None:
    """Start a local cluster, and a second time where this machine was too slow for Ray's own time limits.

    The limits stand in Ray's code (30 s for its raylet), so that the second start can't be given longer ones; but it finds
    Ray's programs in memory, which the first one read from disk.

    Raises:
        RunError: If the second start takes too long, too.
    """
    before = set(psutil.Process().children(recursive=True))
    try:
        start()
        return
    except Exception as error:
        if not _took_too_long(error):
            raise
        _end_new_children(before)
    try:
        start()
    except Exception as error:
        _end_new_children(before)
        if not _took_too_long(error):
            raise
        raise RunError(
            f"Ray did not start on this machine within its own time limit, twice ({str(error).strip().splitlines()[0]}). The "
            "machine is overloaded: try again when less runs on it, or start a cluster with `ray start --head` and set "
            "RAY_ADDRESS to the address that it prints"
        ) from error


def _took_too_long(error: Exception) -> bool:
    """Whether Ray gave up waiting for its own processes: an error that is told from others by its words alone."""
    return isinstance(error, TimeoutError) or any(
        words in str(error) for words in ("timed out", "Timed out", "timeout")
    )


def _end_new_children(before: set[psutil.Process]) -> None:
    """End what a start that failed has left running; Ray itself ends it with this process."""
    new = [child for child in psutil.Process().children(recursive=True) if child not in before]
    left = []
    for child in new:
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("ray" in word for word in child.cmdline()):
                left.append(child)
    for child in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(left, timeout=10)


def on_cluster() -> bool:
    """Whether work goes to a cluster that was running before, which may grow, and not to one of this process's own."""
    return "RAY_ADDRESS" in os.environ


def cluster_cpus() -> int:
    """Processors of the cluster, at least 1."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def cluster_gpus() -> int:
    """GPUs of the cluster."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def smallest_machine() -> int:
    """Processors of the cluster's smallest machine that has any: what one task may ask for, at most."""
    import ray

    nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return max(1, int(min((cpus for cpus in nodes if cpus >= 1), default=1)))


def holds_processors() -> bool:
    """Whether this process is an actor of a cluster, such as a sweep's trial: Ray Data would wait for what it holds."""
    import ray

    return ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None


@contextlib.contextmanager
def quiet_ray_data() -> Iterator[None]:
    """Ray Data without its own progress, and with a worker's own errors, for as long as the block runs."""
    import ray.data

    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars
    context.enable_progress_bars = False
    # Otherwise a worker's error arrives as one of Ray's, without what it was.
    raises_original = context.raise_original_map_exception
    context.raise_original_map_exception = True
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = before
        context.raise_original_map_exception = raises_original
        logger.setLevel(level)


Unit = dict[str, Any]
_instances: dict[str, Callable[[Unit], Unit]] = {}


def _call(batch: Unit, work: Callable[..., Callable[[Unit], Unit]], arguments: dict[str, Any]) -> Unit:
    # Ray's processes run one task after the other: what an instance has opened is kept for the next unit.
    key = f"{work.__module__}.{work.__qualname__} {canonical_json(arguments)}"
    if key not in _instances:
        _instances.clear()
        _instances[key] = work(**arguments)
    row = _instances[key]({name: column[0] for name, column in batch.items()})
    return {name: [value] for name, value in row.items()}


def map_units(
    units: list[Unit],
    work: Callable[..., Callable[[Unit], Unit]],
    arguments: dict[str, Any],
    *,
    gpu: bool = False,
    whole_machine: bool = False,
    on_result: Callable[[Unit], None],
) -> None:
    """Run one object's call per unit on Ray Data and hand over the results as they come, in no fixed order.

    In an actor, one after the other in its own process: trials may hold every processor, and Ray Data would wait for ever.

    Args:
        units: Plain rows, one per call.
        work: A class whose instances map a unit to a result row; a process makes one and keeps it.
        arguments: What its instances are made with; plain data.
        gpu: Give every process a GPU of its own, where the cluster has any.
        whole_machine: Where there is no GPU, give a process all of a machine's processors: for a large model, of which one
            copy per machine is enough.
        on_result: Called in this process with each result row.

    Raises:
        Whatever a call raised, unwrapped from Ray's task error.
    """
    if not units:
        return
    if holds_processors():
        own = work(**arguments)
        for unit in units:
            on_result(own(unit))
        return
    ensure_ray()
    import ray.data
    from ray.exceptions import RayTaskError

    gpus = cluster_gpus() if gpu else 0
    with quiet_ray_data():
        dataset = ray.data.from_items(units, override_num_blocks=len(units)).map_batches(
            cast(Any, _call),  # Ray's own type knows no further arguments
            fn_kwargs={"work": work, "arguments": arguments},
            batch_size=1,
            num_cpus=smallest_machine() if whole_machine and not gpus else 1,
            num_gpus=1 if gpus else None,
        )
        try:
            for row in dataset.iter_rows():
                on_result(row)
        except RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, Exception) else error from error
