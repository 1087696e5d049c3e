"""A whole workspace compared with its records: what is damaged, what was made from it, and how it is made again."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from retort.errors import DamagedError, WorkspaceError
from retort.identity import stream_digest
from retort.progress import Progress
from retort.storage.folder import Folder
from retort.storage.layout import BASELINE, EXPERIMENT_YAML, RUN, SWEEP
from retort.storage.record import RECORD, FileEntry, Record
from retort.storage.verified import known_good
from retort.storage.workspace import Workspace

__all__ = ["Damage", "Verified", "verify_workspace"]

READERS: Final = 4  # at a time: hashing leaves Python's lock, and object stores answer slowly
STAGE: Final = "verify"


@dataclass(frozen=True)
class Damage:
    """One stage that is not what was recorded.

    Attributes:
        stage: The folder's name.
        problems: File -> what is wrong with it.
        dependents: Stages that were made from it, directly or not; their files may be whole, but what they were made from is
            gone until it is made again.
        way_back: How it is made again.
    """

    stage: str
    problems: Mapping[str, str]
    dependents: tuple[str, ...]
    way_back: str


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        stages: Number of finished stages that were looked at.
        files: Number of files that their records name.
        bytes: Size of what was read.
        damaged: The stages that are not what was recorded, by name.
    """

    stages: int
    files: int
    bytes: int
    damaged: tuple[Damage, ...]


def verify_workspace(workspace: Workspace, names: Sequence[str], progress: Progress) -> Verified:
    """Read every file of finished stages, and compare it with its stage's record.

    Args:
        workspace: Local or remote.
        names: Stages, or folders of stages such as ``runs``; none: all of them.
        progress: Called after each file.

    Raises:
        WorkspaceError: If there is no finished stage of a name.
    """
    folders = _stages(workspace)
    chosen = _chosen(workspace, [folder.name for folder in folders], names)
    records: dict[str, Record] = {}
    problems: dict[str, dict[str, str]] = {}
    for folder in folders:
        try:
            record = folder.record()
        except DamagedError as error:
            if folder.name in chosen:
                problems[folder.name] = {RECORD: str(error).partition(". ")[0]}
        else:
            if record is not None:
                records[folder.name] = record
    files = [
        (workspace.folder(name), entry) for name, record in records.items() if name in chosen for entry in record.files
    ]
    read = 0
    with ThreadPoolExecutor(READERS) as readers:
        progress(STAGE, 0, len(files))
        for number, (folder, entry, size, problem) in enumerate(readers.map(_checked, files), start=1):
            read += size
            if problem is not None:
                problems.setdefault(folder.name, {})[entry.name] = problem
            progress(STAGE, number, len(files), folder.name)
    damaged = tuple(
        Damage(name, problems[name], _dependents(name, records), _way_back(workspace.folder(name)))
        for name in sorted(problems)
    )
    return Verified(len(chosen), len(files), read, damaged)


def _stages(workspace: Workspace) -> list[Folder]:
    workspace.fs.invalidate_cache()
    found = sorted(str(path)[len(workspace.root) + 1 :] for path in workspace.fs.find(workspace.root))
    ending = f"/{RECORD}"
    return [workspace.folder(path.removesuffix(ending)) for path in found if path.endswith(ending)]


def _chosen(workspace: Workspace, stages: Sequence[str], names: Sequence[str]) -> set[str]:
    if not names:
        return set(stages)
    chosen = set()
    for name in names:
        wanted = name.strip("/")
        below = {stage for stage in stages if stage == wanted or stage.startswith(f"{wanted}/")}
        if not below:
            kinds = ", ".join(sorted({stage.partition("/")[0] for stage in stages})) or "none"
            raise WorkspaceError(
                f"workspace {workspace.url} has no finished stage {name[:200]!r}; there are stages of: {kinds}"
            )
        chosen |= below
    return chosen


def _checked(file: tuple[Folder, FileEntry]) -> tuple[Folder, FileEntry, int, str | None]:
    folder, entry = file
    path = folder.path(entry.name)
    try:
        before = Path(path).stat() if folder.workspace.is_local else None
        with folder.workspace.fs.open(path, "rb") as stream:
            digest = stream_digest(stream)
    except FileNotFoundError:
        return folder, entry, 0, f"is missing; {entry.bytes:,} bytes were recorded"
    except OSError as error:
        return folder, entry, 0, f"cannot be read: {error}"
    if digest != entry.sha256:
        return folder, entry, entry.bytes, f"has the checksum {digest[:12]}; {entry.sha256[:12]} was recorded"
    if before is not None and Path(path).stat().st_mtime_ns == before.st_mtime_ns:
        known_good(Path(path), entry)
    return folder, entry, entry.bytes, None


def _dependents(name: str, records: Mapping[str, Record]) -> tuple[str, ...]:
    """Stages whose inputs name a stage's fingerprint, theirs, and so on."""
    record = records.get(name)
    # A stage whose record is damaged has its fingerprint's beginning in its name, where variants stand side by side.
    wanted = [record.fingerprint if record is not None else name.rpartition("-")[2]]
    found: set[str] = set()
    for fingerprint in wanted:
        if len(fingerprint) < 8:
            continue
        for other in _users(fingerprint, records):
            if other not in found and other != name:
                found.add(other)
                wanted.append(records[other].fingerprint)
    return tuple(sorted(found))


def _users(fingerprint: str, records: Mapping[str, Record]) -> Iterator[str]:
    for name, record in records.items():
        if any(str(value).startswith(fingerprint) for value in record.inputs.values()):
            yield name


def _way_back(folder: Folder) -> str:
    """What a user does to have the stage again; the same input gives the same fingerprint, so that what depends on it stays."""
    name, url, workspace = folder.name, folder.url(), folder.workspace.url
    kind, _, rest = name.partition("/")
    evaluated, _, below = rest.partition("/")
    if kind in ("passages", "turns", "judgements"):
        return f"remove {url}, and import the same files again, in the same order: retort import --help"
    if kind == "rewrites":
        return f"remove {url}, and add or generate the rewrites again: retort rewrites --help"
    if kind == BASELINE.parent:
        return f"remove {url}, and measure it again: retort evaluate baseline:{evaluated.replace('-', ':', 1)} --help"
    if kind == SWEEP.parent:
        return (
            f"remove {folder.url(RECORD)} and the damaged files, and go on with the sweep: "
            f"retort sweep SPACE.yaml --resume --workspace {workspace}"
        )
    if kind == RUN.parent and below:
        command = "latency" if below.startswith("latency") else "evaluate"
        return f"remove {url}, and measure it again: retort {command} {evaluated} --workspace {workspace}"
    if kind == RUN.parent:
        return (
            f"copy {folder.url(EXPERIMENT_YAML)} to another place, remove {url}, and train the same run again: "
            f"retort distill {EXPERIMENT_YAML} --workspace {workspace}"
        )
    return f"remove {url}, and run what needs it again: retort prepare EXPERIMENT.yaml --workspace {workspace}"
