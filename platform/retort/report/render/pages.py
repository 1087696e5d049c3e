"""Where the files of a report go: into the workspace, or a directory that the user names."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from retort.errors import InputError
from retort.storage import Workspace
from retort.storage.files import write_all, write_aside

__all__ = ["write_pages"]


def write_pages(pages: Mapping[str, bytes], workspace: Workspace, name: str, out: Path | None) -> str:
    """Write a report's files, over those of an earlier report; returns where they are.

    Args:
        pages: File name -> content; a name may have folders.
        workspace: Where they go by default.
        name: The report's folder there.
        out: A local directory instead.

    Raises:
        InputError: If ``out`` is a file.
    """
    if out is None:
        folder = workspace.folder(name)
        for file, content in pages.items():
            folder.write_bytes(file, content)
        return folder.url()
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a directory")
    out.mkdir(parents=True, exist_ok=True)
    for file, content in pages.items():
        write_aside(out / file, partial(write_all, content=content))
    return str(out)
