"""Trials that were begun: what gives a trial its number, and what runs it again where it left no result.

``proposed/<number>.json`` holds a trial's configuration before the trial runs. A number is one more than the highest that was
ever given, never a count of files; it stands for one configuration, and has at most one result, ``trials/<number>.json``. A
proposal without a result is run again under its number, whatever became of it: its driver was killed, its machines died, or
its result was removed.
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from retort.errors import WorkspaceError
from retort.storage import FileEntry, Folder
from retort.storage.layout import SWEEP
from retort.sweeps.trial import Scalar

__all__ = ["Proposal", "next_number", "open_proposals", "propose", "trial_numbers", "write_once"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial that was begun.

    Attributes:
        trial: Its number in the sweep, ``0003``.
        config: Its searched settings.
        retries: The failed trial whose configuration it runs again; None where there is none.
    """

    trial: str
    config: Mapping[str, Scalar]
    retries: str | None = None


def write_once(folder: Folder, file: str, value: object) -> FileEntry:
    """Write a JSON file that is never written again; returns its entry for a record.

    Raises:
        WorkspaceError: If the file is there, which stays as it is.
    """
    there = f"{folder.url(file)} is there already and is not overwritten: it is a trial's only result or configuration"
    if folder.exists(file):
        raise WorkspaceError(there)
    if not folder.workspace.is_local:
        return folder.write_json(file, value)  # whoever drives a sweep on an object store is alone
    aside = f"{file}.{uuid.uuid4().hex[:8]}.new"
    written = folder.write_json(aside, value)
    try:
        # A link fails where the name was taken in the meantime; renaming would replace that file.
        os.link(folder.path(aside), folder.path(file))
    except FileExistsError as error:
        raise WorkspaceError(there) from error
    finally:
        Path(folder.path(aside)).unlink()
    return replace(written, name=file)


def trial_numbers(folder: Folder, kind: str) -> list[str]:
    """The numbers that have a file in one of a sweep's folders, ``SWEEP.trials`` or ``SWEEP.proposed``; sorted."""
    names = [name.removesuffix(".json") for name in folder.workspace.names(f"{folder.name}/{kind}")]
    return sorted((name for name in names if name.isdecimal()), key=int)


def next_number(folder: Folder) -> int:
    """One more than the highest number that a trial of the sweep was ever given."""
    known = {*trial_numbers(folder, SWEEP.trials), *trial_numbers(folder, SWEEP.proposed), *_recorded(folder)}
    return max((int(number) for number in known), default=-1) + 1


def propose(folder: Folder, number: int, config: Mapping[str, Scalar], *, retries: str | None = None) -> Proposal:
    """Give a configuration a number that no trial of the sweep has had, and keep both.

    Raises:
        WorkspaceError: If the number was given before.
    """
    proposal = Proposal(f"{number:04d}", dict(config), retries)
    document: dict[str, Any] = {"trial": proposal.trial, "config": proposal.config}
    write_once(folder, SWEEP.proposal(proposal.trial), document if retries is None else document | {"retries": retries})
    return proposal


def open_proposals(folder: Folder) -> list[Proposal]:
    """The trials that were begun and have no result, by number."""
    ended = set(trial_numbers(folder, SWEEP.trials))
    proposed = trial_numbers(folder, SWEEP.proposed)
    found = {}
    for number in proposed:
        if number not in ended:
            found[number] = folder.read_as(SWEEP.proposal(number), _proposal)
    # A sweep from before there were proposals tells of its ended trials in its front.
    for number, config in _recorded(folder).items():
        if number not in ended and number not in proposed:
            found[number] = Proposal(number, config)
    return [found[number] for number in sorted(found, key=int)]


def _proposal(data: Mapping[str, Any]) -> Proposal:
    return Proposal(data["trial"], data["config"], data.get("retries"))


def _recorded(folder: Folder) -> dict[str, Mapping[str, Scalar]]:
    """The trials that the sweep's front lists, where it has one, with their configurations."""
    if not folder.exists(SWEEP.front):
        return {}
    trials: Sequence[Mapping[str, Any]] = folder.read_json(SWEEP.front)["trials"]
    return {trial["trial"]: trial["config"] for trial in trials}
