"""``record.json``: what a finished stage says of itself, and of each of its files.

It is read with as much care as it is written: it has a checksum of itself, and the names in it can only be places inside
the stage's folder, whoever wrote it.
"""

import contextlib
import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PureWindowsPath
from typing import Any, Final

from retort.identity import text_digest
from retort.redaction import redacted_json

__all__ = ["RECORD", "FileEntry", "Record", "check_inside", "library_versions"]

RECORD: Final = "record.json"
LIBRARIES: Final = ("retort", "numpy", "pyarrow", "ray", "tokenizers", "torch", "transformers")
_OWN_DIGEST: Final = "sha256"  # of the record's other keys, as they are written
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]")


def check_inside(name: str) -> str:
    """Check that a name is a place below the folder that it is meant for, on every system; returns it.

    Raises:
        ValueError: If it is empty, absolute, leaves the folder, or is a device's name.
    """
    parts = name.split("/")
    if not name or _CONTROL.search(name) or name[0] == "/" or PureWindowsPath(name).drive or ":" in parts[0]:
        raise ValueError(f"{name[:100]!r} is no relative name of a file")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{name[:100]!r} does not stay inside its folder")
    if any(part.partition(".")[0].upper() in _DEVICES for part in parts):
        raise ValueError(f"{name[:100]!r} is the name of a device")
    return name


_DEVICES: Final = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{device}{number}" for device in ("COM", "LPT") for number in range(1, 10))]
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a stage: name inside the folder, SHA-256, size in bytes, rows where it has rows."""

    name: str
    sha256: str
    bytes: int
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What a finished stage says of itself; see ``record.json`` in its folder."""

    stage: str
    version: int
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, str]
    counts: dict[str, Any]
    files: tuple[FileEntry, ...]
    seconds: float
    created: str
    libraries: dict[str, str] = field(default_factory=dict)

    def names(self, suffix: str = "", prefix: str = "") -> list[str]:
        """Names of the stage's files with this ending and beginning, sorted."""
        return sorted(f.name for f in self.files if f.name.endswith(suffix) and f.name.startswith(prefix))

    def to_json(self) -> str:
        """The record as readable JSON, its own checksum last; secrets in it are hidden."""
        data = redacted_json(asdict(self))
        return json.dumps(data | {_OWN_DIGEST: _own_digest(data)}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Record":
        """Read a record; keys that later versions add are ignored.

        Raises:
            ValueError: If it is damaged, lacks something, or names a file outside of its folder.
        """
        try:
            data = json.loads(text)
            own = data.pop(_OWN_DIGEST, None)  # records of version 0.1 have none
            if own is not None and own != _own_digest(data):
                raise ValueError("its content is not what was written: the checksum differs")
            known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
            known["files"] = tuple(_checked(FileEntry(**entry)) for entry in data["files"])
            return cls(**known)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no record of a stage ({type(error).__name__}: {error})") from error


def _own_digest(data: Mapping[str, Any]) -> str:
    return text_digest(json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def _checked(entry: FileEntry) -> FileEntry:
    check_inside(entry.name)
    if not _DIGEST.fullmatch(entry.sha256) or isinstance(entry.bytes, bool) or entry.bytes < 0:
        raise ValueError(f"its entry of {entry.name[:100]!r} has no checksum or size")
    return entry


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a stage's output may depend on."""
    versions = {}
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[library] = importlib.metadata.version(library)
    return versions
