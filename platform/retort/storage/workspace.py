"""Workspaces, and the stages in them by name or by fingerprint."""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import fsspec

from retort.errors import WorkspaceError
from retort.identity import fingerprint as stage_fingerprint
from retort.storage.folder import Folder, StageWriter

__all__ = ["Stage", "Workspace"]

MARKER: Final = "workspace.json"
FORMAT: Final = 1


class Workspace:
    """A workspace by its URL: a local path, or anything that fsspec opens (``s3://bucket/prefix``, ``gs://...``).

    Args:
        url: Where it is.
        create: Make it when it is not there; otherwise a missing workspace is an error.

    Raises:
        WorkspaceError: If it is missing, is no workspace, or was written by a later format.
    """

    def __init__(self, url: str | Path, *, create: bool = False) -> None:
        if not str(url).strip():
            raise WorkspaceError("the workspace has no name; '.' is the current folder")
        try:
            self.fs, root = fsspec.core.url_to_fs(str(url))
        except (ImportError, ValueError) as error:
            raise WorkspaceError(f"workspace {url} cannot be opened: {error}") from error
        self.is_local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))
        self.root: str = os.path.realpath(root) if self.is_local else root.rstrip("/")
        self.url: str = self.root if self.is_local else str(url).rstrip("/")
        marker = f"{self.root}/{MARKER}"
        if self.fs.exists(marker):
            try:
                written = int(json.loads(self.fs.cat_file(marker))["format"])
            except (KeyError, TypeError, ValueError) as error:
                raise WorkspaceError(f"{marker} does not say a workspace's format; is {url} a workspace?") from error
            if written > FORMAT:
                raise WorkspaceError(
                    f"workspace {url} has format {written}, this version reads up to {FORMAT}: upgrade"
                )
        elif create:
            if self.is_local and Path(self.root).is_file():
                raise WorkspaceError(f"workspace {url} is a file; name a folder")
            try:
                self.folder("").write_bytes(MARKER, json.dumps({"format": FORMAT}).encode())
            except OSError as error:
                raise WorkspaceError(f"workspace {url} cannot be made: {error}") from error
        else:
            raise WorkspaceError(
                f"no workspace at {url}; an import makes one, such as: retort import synthetic --workspace {url}"
            )

    def __reduce__(self) -> tuple[type["Workspace"], tuple[str]]:
        # Ray tasks get the URL and open their own filesystem.
        return (Workspace, (self.url,))

    @property
    def can_be_written(self) -> bool:
        """Whether files can be made in it; of an object store nothing is known before that is tried."""
        return not self.is_local or os.access(self.root, os.W_OK)

    def folder(self, name: str) -> Folder:
        """The stage folder of this name, whether it is there or not."""
        return Folder(self, name)

    def stage(
        self, name: str, version: int, *, label: str, config: Mapping[str, object], inputs: Mapping[str, str]
    ) -> "Stage":
        """A stage whose variants stand side by side, in the folder ``<label>-<beginning of the fingerprint>``."""
        digest = stage_fingerprint(name, version, config=config, inputs=inputs)
        return Stage(self.folder(f"{label}-{digest[:8]}"), name, version, dict(config), dict(inputs))

    def finished(self, parent: str, fingerprint: str) -> Folder | None:
        """The finished stage with this fingerprint directly below ``parent``, whatever its folder is called."""
        for name in self.names(parent):
            if name.endswith(f"-{fingerprint[:8]}"):
                folder = self.folder(f"{parent}/{name}")
                record = folder.record()
                if record is not None and record.fingerprint == fingerprint:
                    return folder
        return None

    def stages(self, parent: str) -> list[Folder]:
        """Finished stage folders directly below ``parent``, sorted by name."""
        folders = [self.folder(f"{parent}/{name}") for name in self.names(parent)]
        return [folder for folder in folders if folder.record()]

    def names(self, parent: str) -> list[str]:
        """Names of the files and folders directly below ``parent``, sorted; none where it does not exist."""
        path = f"{self.root}/{parent}"
        if not self.fs.exists(path):
            return []
        self.fs.invalidate_cache()
        return sorted(PurePosixPath(child).name for child in self.fs.ls(path, detail=False))


@dataclass(frozen=True)
class Stage:
    """A stage that is to be run: its folder, and all that its fingerprint is made of.

    Attributes:
        folder: Where its output stands; the name ends in the fingerprint's beginning.
        name: Of the stage.
        version: Bumped when its output changes for the same config and inputs.
        config: What changes the result.
        inputs: Fingerprints of what is read.
    """

    folder: Folder
    name: str
    version: int
    config: dict[str, object]
    inputs: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the stage's output."""
        return stage_fingerprint(self.name, self.version, config=self.config, inputs=self.inputs)

    def writing(self) -> contextlib.AbstractContextManager[StageWriter]:
        """Write the stage, keeping complete files of an interrupted run; see ``Folder.writing``."""
        return self.folder.writing(self.name, self.version, config=self.config, inputs=self.inputs, keep_parts=True)
