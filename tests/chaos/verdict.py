"""What a workspace is worth after a round: whole, or not, and the same as the undisturbed one, or not.

Reads files and records by itself, so that a fault of the package's own reading cannot hide one of its writing.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.chaos.services import BUCKET

__all__ = ["Contents", "Trials", "Verdict", "different_files", "half_written", "leftovers", "read", "shown", "trials"]

RECORD = "record.json"
# Files that hold times, or the order in which trials ended; of a sweep's, what counts is compared by its content.
VARYING = (
    f"*{RECORD}",
    "sweeps/*/trials/*",
    "sweeps/*/tracking.json",
    "sweeps/*/front.*",
    "sweeps/*/report.html",
)
# What stands beside the records for good.
BESIDE = ("workspace.json", ".locks/*", "*.lock", "mlflow.db", "mlartifacts/*")

Contents = dict[str, bytes]
Trials = dict[str, dict[str, Any]]


def read(place: str, client: Any = None) -> Contents:
    """All files of a workspace by their names in it.

    Args:
        place: A folder, or ``s3://bucket/prefix``.
        client: Of S3, where the workspace is there.
    """
    if not place.startswith("s3://"):
        root = Path(place)
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    prefix = place.removeprefix(f"s3://{BUCKET}/") + "/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    # A key that ends in a slash stands for a folder, and holds nothing.
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ()) if not entry["Key"].endswith("/")]

    def get(key: str) -> bytes:
        return bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    with ThreadPoolExecutor(4) as threads:
        return {key.removeprefix(prefix): content for key, content in zip(keys, threads.map(get, keys), strict=True)}


def _records(contents: Contents) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, content in contents.items():
        if name.rpartition("/")[2] == RECORD:
            yield name.rpartition("/")[0], json.loads(content)


def half_written(contents: Contents) -> list[str]:
    """Stages whose record names what is not there as it says, and trials that cannot be read."""
    problems = []
    for name, content in contents.items():
        if name.endswith(".json") and not name.startswith("."):  # what Ray keeps beside the stages is its own
            try:
                json.loads(content)
            except ValueError as error:
                problems.append(f"{name}: {error}")
    if problems:
        return problems
    for folder, record in _records(contents):
        for entry in record["files"]:
            found = contents.get(f"{folder}/{entry['name']}")
            if found is None:
                problems.append(f"{folder}: {entry['name']} is missing")
            elif hashlib.sha256(found).hexdigest() != entry["sha256"] or len(found) != entry["bytes"]:
                problems.append(f"{folder}: {entry['name']} is not what its record says")
    return problems


def leftovers(contents: Contents) -> list[str]:
    """Files that no record names."""
    recorded = set()
    for folder, record in _records(contents):
        recorded |= {f"{folder}/{RECORD}", *(f"{folder}/{entry['name']}" for entry in record["files"])}
    return [name for name in contents if name not in recorded and not any(fnmatch(name, pattern) for pattern in BESIDE)]


def trials(contents: Contents) -> list[dict[str, Any]]:
    """Every trial's file that can be read."""
    found = []
    for name, content in contents.items():
        if fnmatch(name, "sweeps/*/trials/*.json"):
            try:
                found.append(json.loads(content) | {"file": name})
            except ValueError:
                continue  # half_written() tells of it
    return found


def finished(contents: Contents) -> Trials:
    """The finished trials by their configuration; of two of the same, the first."""
    found: Trials = {}
    for trial in trials(contents):
        if trial["status"] == "finished":
            found.setdefault(_key(trial), trial)
    return found


def _key(trial: Mapping[str, Any]) -> str:
    return json.dumps(trial["config"], sort_keys=True)


def _result(trial: Mapping[str, Any]) -> dict[str, Any]:
    return {name: trial.get(name) for name in ("run", "status", "validation", "evaluation", "on_front")}


def front(contents: Contents) -> dict[str, Any] | None:
    """What a sweep that has ended found, without times and order."""
    for name, content in contents.items():
        if fnmatch(name, "sweeps/*/front.json"):
            told = json.loads(content)
            results = {_key(trial): _result(trial) for trial in told["trials"]}
            return {name: told[name] for name in ("hypervolume", "reference", "baselines", "split")} | {
                "trials": results
            }
    return None


def different_files(wanted: Contents, found: Contents) -> list[str]:
    """Files of stages that both have finished which are not, byte for byte, the same."""
    here = {folder for folder, _ in _records(found)}
    return [
        name
        for folder, file in _recorded(wanted)
        for name in [f"{folder}/{file}"]
        if folder in here and not any(fnmatch(name, pattern) for pattern in VARYING) and found.get(name) != wanted[name]
    ]


def missing_stages(wanted: Contents, found: Contents) -> list[str]:
    """Stages of the undisturbed workspace that the other one has not finished."""
    here = {folder for folder, _ in _records(found)}
    return sorted({folder for folder, _ in _recorded(wanted)} - here)


def _recorded(contents: Contents) -> list[tuple[str, str]]:
    return sorted((folder, entry["name"]) for folder, record in _records(contents) for entry in record["files"])


@dataclass
class Verdict:
    """What one round came to; every list but the first two ought to be empty.

    Attributes:
        trials_finished: Trials that the sweep has at the end.
        trials_failed: Trials that are recorded as failed: nothing of their own can fail.
        lost: Finished trials whose file was there before a fault, and is not there any more, or says something else.
        repeated: Trials of a configuration that had finished already.
        missing: Configurations without a finished trial at the end, and stages that have not finished.
        different: Trials, fronts and files that are not those of the undisturbed run.
        half_written: Stages whose record names what is not there.
        leftovers: Files that no record names, after the work has ended well.
        orphans: Processes that outlived their work.
        tracebacks: Commands that ended in a traceback instead of a message.
        unfinished: Why the work did not end well although nothing was disturbed any more.
    """

    trials_finished: int = 0
    trials_failed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    def watch(self, contents: Contents, known: Trials) -> Trials:
        """Look at a workspace between two faults: what had finished must be there; returns what has finished now."""
        self.half_written += half_written(contents)
        now = {trial["file"]: trial for trial in trials(contents) if trial["status"] == "finished"}
        for file, trial in known.items():
            other = now.get(file)
            if other is None or (_key(other), _result(other)) != (_key(trial), _result(trial)):
                self.lost.append(
                    f"{file}: {_key(trial)} had finished; now {'nothing' if other is None else _key(other)}"
                )
        return now

    def conclude(self, wanted: Contents, found: Contents) -> None:
        """Compare the workspace with the undisturbed one, once the work has ended."""
        self.half_written += half_written(found)
        self.leftovers += leftovers(found)
        self.different += different_files(wanted, found)
        ended = trials(found)
        keys = [_key(trial) for trial in ended if trial["status"] == "finished"]
        self.trials_finished = len(set(keys))
        self.trials_failed += [f"{_key(trial)}: {trial['error']}" for trial in ended if trial["status"] != "finished"]
        self.repeated += sorted({key for key in keys if keys.count(key) > 1})
        here, there = finished(found), finished(wanted)
        self.missing += sorted(set(there) - set(here)) + missing_stages(wanted, found)
        for key in sorted(set(there) & set(here)):
            names = ("run", "validation")
            if any(here[key][name] != there[key][name] for name in names):
                self.different.append(f"trial {key}: {here[key]['validation']} instead of {there[key]['validation']}")
        # Of other trials another front is right.
        if not self.missing and front(wanted) != front(found):
            self.different.append("front.json")

    @property
    def problems(self) -> dict[str, list[str]]:
        """What ought not to be, by the attribute's name."""
        kept = {name: list(dict.fromkeys(value)) for name, value in vars(self).items() if isinstance(value, list)}
        return {name: value for name, value in kept.items() if value}


def shown(lines: Iterable[str], limit: int = 5) -> str:
    """A few lines, and how many more there are."""
    known = list(lines)
    more = f" (and {len(known) - limit} more)" if len(known) > limit else ""
    return "; ".join(known[:limit]) + more
