"""What is called while a sweep is searched: the tracker logs its trials, and a drawer draws its front."""

from collections.abc import Mapping, Sequence
from typing import Any

from retort.storage import FileEntry, Folder
from retort.sweeps.sweep import Sweep
from retort.sweeps.trial import TrialPoint

__all__ = ["Listener", "Listeners"]


class Listener:
    """Called when a sweep starts, after each trial, and when the front is known; by default every method does nothing."""

    def started(self, folder: Folder, description: Mapping[str, Any]) -> tuple[FileEntry, ...]:
        """The sweep begins, or goes on; returns the files that the listener keeps in its folder."""
        return ()

    def ended(self, point: TrialPoint) -> None:
        """A trial finished or failed; its file is written."""

    def concluded(self, sweep: Sweep) -> tuple[FileEntry, ...]:
        """The front is known, evaluated and written; returns the files that the listener keeps in the sweep's folder."""
        return ()


class Listeners(Listener):
    """Several listeners, called one after the other."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = tuple(listeners)

    def started(self, folder: Folder, description: Mapping[str, Any]) -> tuple[FileEntry, ...]:
        """See :class:`Listener`."""
        return tuple(entry for one in self.listeners for entry in one.started(folder, description))

    def ended(self, point: TrialPoint) -> None:
        """See :class:`Listener`."""
        for one in self.listeners:
            one.ended(point)

    def concluded(self, sweep: Sweep) -> tuple[FileEntry, ...]:
        """See :class:`Listener`."""
        return tuple(entry for one in self.listeners for entry in one.concluded(sweep))
