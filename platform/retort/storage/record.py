"""``record.json``: what a finished stage says of itself, and of each of its files."""

import contextlib
import importlib.metadata
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

__all__ = ["RECORD", "FileEntry", "Record", "library_versions"]

RECORD: Final = "record.json"
LIBRARIES: Final = ("retort", "numpy", "pyarrow", "ray", "tokenizers", "torch", "transformers")


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
        """The record as readable JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read a record; keys that later versions add are ignored."""
        data = json.loads(text)
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["files"] = tuple(FileEntry(**entry) for entry in data["files"])
        return cls(**known)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a stage's output may depend on."""
    versions = {}
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[library] = importlib.metadata.version(library)
    return versions
