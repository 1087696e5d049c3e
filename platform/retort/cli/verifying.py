"""``retort verify``: whether a workspace is what was written."""

from typing import Annotated

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, say, terminal_progress

__all__ = ["verify"]


def verify(
    workspace: WorkspaceOption,
    stages: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STAGE]...", help="Stages, or kinds of them such as runs; by default all."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Read every file of a workspace, and compare it with its record.

    What is damaged is told, what was made from it, and how it is made again; the exit code is 1 then.

    Example: retort verify --workspace w

    Example: retort verify runs vectors --workspace s3://bucket/w
    """
    from dataclasses import asdict

    from retort.storage.verify import verify_workspace

    opened = open_workspace(workspace)
    with terminal_progress() as progress:
        done = verify_workspace(opened, stages or (), progress)
    if as_json:
        print_json(asdict(done))
        return 1 if done.damaged else 0
    read = f"{done.files:,} files of {done.stages:,} stages, {done.bytes / 2**20:,.1f} MiB"
    if not done.damaged:
        say(f"{read}: all of them are what was recorded")
        return 0
    say(f"{read}: {len(done.damaged)} stages are damaged")
    for damage in done.damaged:
        say(f"\n{damage.stage}")
        for file, problem in damage.problems.items():
            say(f"  {file} {problem}")
        if damage.dependents:
            say(f"  made from it: {', '.join(damage.dependents)}")
        say(f"  {damage.way_back}")
    return 1
