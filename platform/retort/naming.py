"""What a user may call a run: its name, a part of that, a point of a sweep's front, an MLflow run id; and what is no run."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from retort.corpora.turns import require_turns
from retort.errors import InputError, excerpt, shown
from retort.evaluation.questions import BASELINES, VALIDATION
from retort.evaluation.runs import find_run
from retort.storage import Workspace
from retort.storage.layout import BASELINE, RUN, SWEEP
from retort.sweeps.front import front_rows
from retort.sweeps.sweep import find_sweep
from retort.tracking import default_tracking_uri, look_up

__all__ = ["Named", "check_split", "front_point", "mlflow_run", "name_all", "name_one", "run_named", "runs_named"]

SHOWN: Final = 200  # characters of a word in a message
BASELINE_NAME: Final = re.compile(r"context|last|rewrite:[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MLFLOW_ID: Final = re.compile(r"[0-9a-f]{32}")
FILES: Final = (".trec", ".run", ".txt", ".gz", ".zst")
CALLED: Final = re.compile(r"(?P<label>[^=/#:]+)=(?P<word>.+)", flags=re.DOTALL)

Kind = Literal["run", "baseline", "file"]


@dataclass(frozen=True, slots=True)
class Named:
    """What the user named.

    Attributes:
        label: How tables call it.
        kind: A run of the workspace, a baseline of it, or another system's TREC run.
        target: The run's name, ``baseline:last`` and the like, or the file's path.
    """

    label: str
    kind: Kind
    target: str


def name_all(
    workspace: Workspace, words: Sequence[str], baseline: str | None = None
) -> tuple[list[Named], Named | None]:
    """What some words name, and which of them, or what else, is the baseline.

    Args:
        workspace: Where the runs are.
        words: As :func:`name_one` takes them.
        baseline: One of the words, or of their labels, or another word; None: none is chosen.
    """
    named = [name_one(workspace, word) for word in words]
    if baseline is None:
        return named, None
    for word, one in zip(words, named, strict=True):
        if baseline in (word, one.label):
            return named, one
    other = name_one(workspace, baseline)
    # The same run may have been named in another way before.
    return named, next((one for one in named if (one.kind, one.target) == (other.kind, other.target)), other)


def name_one(workspace: Workspace, word: str) -> Named:
    """What a word names; ``LABEL=WORD`` calls it otherwise.

    A baseline begins with ``baseline:``; ``SWEEP#3`` is the third point of a sweep's front, ``SWEEP#champion`` the one that
    ``retort front --register`` takes; 32 hexadecimal digits are an MLflow run id; what is a file is another system's TREC
    run; everything else is a run, or an unambiguous beginning or end of one.

    Raises:
        InputError: If nothing is called so.
    """
    label = word
    if not _is_there(word, Path.is_file) and (called := CALLED.fullmatch(word)):
        label, word = called["label"].strip(), called["word"]
    if BASELINE.is_name(word):
        # It becomes a folder's name: ``baseline:../..`` must not lead out of the workspace.
        if not BASELINE_NAME.fullmatch(BASELINE.kind(word)):
            raise InputError(f"{shown(word)} is no baseline; there are {', '.join(BASELINES)}")
        return Named(label, "baseline", word)
    if _is_there(word, Path.is_file):
        return Named(label if label != word else Path(word).name, "file", word)
    if "#" in word:
        return Named(label, "run", front_point(workspace, word))
    if MLFLOW_ID.fullmatch(word):
        return Named(label if label != word else word[:8], "run", mlflow_run(workspace, word))
    if "/" in word and _is_there(word, Path.is_dir):  # a run's folder, as a shell completes it
        label, word = label if label != word else Path(word).name, Path(word).name
    if word.endswith(FILES) or ("/" in word and not word.startswith("runs/")):
        raise InputError(f"there is no file {excerpt(word, SHOWN)}: a TREC run is named by its path")
    return Named(label, "run", RUN.label(find_run(workspace, word).name))


def _is_there(word: str, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(Path(word))
    except OSError:
        return False  # longer than a file's name can be


def check_split(workspace: Workspace, split: str) -> None:
    """Refuse a split that is neither there nor ``validate``, before anything is loaded.

    Raises:
        WorkspaceError: If there is none; the message names those that are there.
    """
    if split != VALIDATION:
        require_turns(workspace, split)


def run_named(workspace: Workspace, word: str) -> str:
    """The run that a word names: its name or a part of it, ``SWEEP#3``, ``SWEEP#champion``, an MLflow run id.

    Raises:
        InputError: If nothing is called so, or it is no run.
    """
    named = name_one(workspace, word)
    if named.kind != "run":
        raise InputError(f"{word} is no run of the workspace, but a {named.kind}: only a run has a student")
    return named.target


def runs_named(workspace: Workspace, words: Sequence[str]) -> list[str]:
    """The runs that some words name, each once; ``SWEEP#front`` is all of a front, the cheapest first."""
    found: list[str] = []
    for word in words:
        if word.endswith("#front"):
            sweep = find_sweep(workspace, word.removesuffix("#front"))
            found += [point.run for point in front_rows(sweep.points) if point.run is not None]
        else:
            found.append(run_named(workspace, word))
    return list(dict.fromkeys(found))


def front_point(workspace: Workspace, word: str) -> str:
    """The run of ``SWEEP#3``, the third point of a front as ``retort front`` numbers them, or of ``SWEEP#champion``.

    Raises:
        InputError: If there is no such sweep, or its front has no such point.
    """
    name, _, number = word.rpartition("#")
    sweep = find_sweep(workspace, name)
    front = front_rows(sweep.points)
    if number == "champion":
        number = str(1 + front.index(sweep.champion()))
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= len(front):
        label = SWEEP.label(sweep.folder.name)
        raise InputError(
            f"the front of {label} has the points 1 to {len(front)} and a champion, got {shown(word)}: "
            f"retort front {label} --workspace {workspace.url}"
        )
    run = front[int(number) - 1].run
    assert run is not None, "a trial on the front has finished, and so has a run"
    return run


def mlflow_run(workspace: Workspace, run_id: str) -> str:
    """The run of the workspace that an MLflow run logs.

    Raises:
        InputError: If MLflow has no such run, or it logs none: a sweep, or a trial that failed.
    """
    found = look_up(default_tracking_uri(workspace), run_id)
    if run := found.tags.get("retort.run"):
        return RUN.label(find_run(workspace, run).name)
    if found.tags.get("retort.kind") == "sweep":
        raise InputError(f"the MLflow run {run_id} is the sweep {found.name}; name one of its points: {found.name}#1")
    raise InputError(f"the MLflow run {run_id} ({found.name}, {found.status}) logs no run of a workspace")
