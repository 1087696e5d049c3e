"""What the commands have in common: their options, how they open a workspace and MLflow, and how they print."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from retort.cli.terminal import TerminalProgress
    from retort.storage import Workspace
    from retort.tracking import MlflowTracker

__all__ = [
    "TRACKED",
    "JsonOption",
    "Overrides",
    "ProfileOption",
    "WorkspaceOption",
    "open_tracker",
    "open_workspace",
    "print_json",
    "program",
    "say",
    "terminal_progress",
]

TRACKED: Final = "retort"  # MLflow's experiment
WorkspaceOption = Annotated[str, typer.Option("--workspace", "-w", help="Folder or URL (s3://...) of the workspace.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that replace the file's.")
]
ProfileOption = Annotated[
    list[Path] | None,
    typer.Option("--profile", help="A YAML whose settings replace the file's, for another corpus; repeatable."),
]


@contextmanager
def terminal_progress() -> Iterator["TerminalProgress"]:
    """Progress on standard error, for as long as the block runs."""
    from retort.cli.terminal import TerminalProgress

    with TerminalProgress() as progress:
        yield progress


def open_workspace(url: str, *, create: bool = False) -> "Workspace":
    """Open the workspace that an option names."""
    from retort.storage import Workspace

    return Workspace(url, create=create)


def open_tracker(workspace: "Workspace") -> "MlflowTracker":
    """Open MLflow: the server that the environment names, or the workspace's own database."""
    from retort.tracking import MlflowTracker, default_artifact_root, default_tracking_uri

    uri = default_tracking_uri(workspace)
    tracker = MlflowTracker(uri, TRACKED, default_artifact_root(workspace, uri))
    if tracker.moved_from is not None:
        sys.stderr.write(
            f"the workspace was copied or moved: its MLflow runs kept their files in {tracker.moved_from}, "
        )
        sys.stderr.write(f"and have them in {workspace.root} now\n")
    return tracker


def program() -> str:
    """The program's name as a user can type it: its path where it is not on the PATH, as after ``make sweep`` alone."""
    called = Path(sys.argv[0])
    if shutil.which("retort") is not None or called.name != "retort":
        return "retort"
    return str(called)


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    from retort.cli.terminal import print_json as write

    write(document)


def say(text: str) -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")
