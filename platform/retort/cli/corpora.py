"""``retort rewrites`` and ``show``: what teachers add to a workspace, and a look at it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retort.cli.shared import (
    JsonOption,
    Overrides,
    WorkspaceOption,
    open_workspace,
    print_json,
    say,
)

if TYPE_CHECKING:
    from retort.config import EncoderConfig
    from retort.sparse.tokens import Tokenizer
    from retort.storage import Workspace

__all__ = ["rewrites", "show"]

rewrites = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add the rewrites of a teacher.")
show = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at what a workspace holds.")


@rewrites.command("add")
def add_rewrites(
    file: Annotated[Path, typer.Argument(help="JSON lines with id or query_id, rewrite, and optionally teacher.")],
    teacher: Annotated[str, typer.Option(help="The teacher's name in the workspace.")],
    split: Annotated[str, typer.Option(help="The split that the rewrites are of.")],
    workspace: WorkspaceOption,
    select: Annotated[str | None, typer.Option(help="Keep the rows whose teacher equals this.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a teacher's rewrites of a split.

    Example: retort rewrites add rewrites.jsonl --teacher mistral --split train --workspace w
    """
    from dataclasses import asdict

    from retort.teachers.imports import add_rewrites as run

    counts = run(open_workspace(workspace), file, teacher=teacher, split=split, select=select)
    if as_json:
        print_json(asdict(counts))
        return
    what = "there already" if counts.skipped else "added"
    say(
        f"{teacher}/{split}: {what}: {counts.rewrites:,} rewrites of {counts.turns:,} turns, {counts.without:,} without"
    )


@show.command("turn")
def show_turn(
    query_id: Annotated[str, typer.Argument(help="The turn's id.")],
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    split: Annotated[str | None, typer.Option(help="Where it is; by default every split is looked through.")] = None,
    experiment: Annotated[
        Path | None, typer.Option(help="Whose context and budget are shown; by default the settings' own defaults.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a turn: its conversation, what the student reads of it, the rewrites, the judged passages.

    The budget's cut is shown where the encoder's tokeniser is there: a model's own, or the prepared collection's.

    Example: retort show turn 12_3 --workspace w context.order=oldest_first encoder.query_tokens=64
    """
    from retort.config import experiment_from, load_experiment, parse_overrides, with_overrides
    from retort.corpora.look import describe_turn

    words = overrides or ()
    config = (
        load_experiment(experiment, words)
        if experiment is not None
        else experiment_from(with_overrides({}, parse_overrides(words)), source="command line")
    )
    place = open_workspace(workspace)
    described = describe_turn(
        place,
        query_id,
        split=split,
        context=config.context,
        tokenizer=_tokenizer(place, config.encoder),
        max_tokens=config.encoder.query_tokens,
    )
    if as_json:
        print_json(described)
        return
    from retort.report.turn import turn_view
    from retort.terminal import table_console

    table_console().print(turn_view(described))


def _tokenizer(workspace: "Workspace", encoder: "EncoderConfig") -> "Tokenizer | None":
    from retort.shards.vectors import vectors_stage
    from retort.sparse.models import model_directory
    from retort.sparse.tokens import Tokenizer

    directory = model_directory(encoder)
    if directory is not None:
        return Tokenizer(directory)
    prepared = vectors_stage(workspace, encoder).folder
    return None if prepared.record() is None else Tokenizer(prepared.local_tree("tokenizer"))
