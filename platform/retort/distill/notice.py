"""Notice that a training is about to lose its process or its machine, so that its state is written before and not lost.

Two kinds are known. SIGTERM asks this process to end: it is held until the step is done, since between two steps is the only
time at which a training has a state. Where a machine of the cluster is drained (a spot machine is taken back, a node's pod is
deleted), Ray knows it some time before.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Held", "held_sigterm", "machines_leave"]


class Held:
    """SIGTERM while it is held."""

    def __init__(self) -> None:
        self._before: object = None
        self.received = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.received = True

    def hold(self) -> None:
        """Take SIGTERM from now on."""
        self._before = signal.signal(signal.SIGTERM, self._take)

    def release(self) -> None:
        """Give SIGTERM back to whom it belonged, and let it do now what it would have done."""
        signal.signal(signal.SIGTERM, self._before)  # type: ignore[arg-type]  # what signal.signal gave
        if self.received:
            self.received = False
            signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def held_sigterm() -> Iterator[Held]:
    """Hold SIGTERM for as long as the block runs; nothing is held in a thread, to which Python gives no signals."""
    held = Held()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is None:
        yield held
        return
    held.hold()
    try:
        yield held
    finally:
        held.release()


def machines_leave() -> bool:
    """Whether a machine of this process's cluster is being drained, or nobody can say."""
    if "ray" not in sys.modules:
        return False
    import ray
    from ray._private.state import state
    from ray.exceptions import RpcError

    if not ray.is_initialized():
        return False
    try:
        return bool(state.get_draining_nodes())
    except RpcError:
        return True  # the cluster's head is gone
