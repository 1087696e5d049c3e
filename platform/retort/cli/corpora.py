"""``retort import`` and ``show``: what goes into a workspace, and a look at it."""

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
    terminal_progress,
)

if TYPE_CHECKING:
    from retort.corpora.report import ImportReport

__all__ = ["imports", "show"]

imports = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Import a corpus into a workspace.")
show = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at what a workspace holds.")


def _tell_import(report: "ImportReport", as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json(asdict(report))
        return
    what = "there already" if report.skipped else "imported"
    say(
        f"{report.split}: {what}: {report.turns:,} turns of {report.conversations:,} conversations, "
        f"{report.judgements:,} judgements ({report.positives_per_turn:.2f} positives a turn); "
        f"passages: {report.passages_added:,} added, {report.passages_known:,} known"
    )
    for reason, count in report.dropped.items():
        say(f"  dropped: {count:,} {reason}")
    for warning in report.warnings:
        say(f"  note: {warning}")


@imports.command("topiocqa")
def import_topiocqa(
    topics: Annotated[Path, typer.Argument(help="all_history JSON: train.json or dev.json.")],
    collection: Annotated[Path, typer.Argument(help="TSV with header id, text, title; may be gzipped.")],
    split: Annotated[str, typer.Option(help="Name of the split in the workspace.")],
    workspace: WorkspaceOption,
    qrels: Annotated[
        Path | None, typer.Option(help="TREC qrels; without them, positive_ctxs are the judgements.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option(help="Drop positives that the collection lacks, and count them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import TopiOCQA, or any corpus in its format.

    Example: retort import topiocqa dev.json full_wiki_segments.tsv --split dev --workspace w
    """
    from retort.corpora import import_topiocqa as run

    with terminal_progress() as progress:
        report = run(
            topics,
            collection,
            split=split,
            workspace=open_workspace(workspace, create=True),
            qrels=qrels,
            allow_missing=allow_missing,
            progress=progress,
        )
    _tell_import(report, as_json)


@imports.command("synthetic")
def import_synthetic(
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a corpus of conversations with rewrites by the teacher "synthetic".

    Settings: conversations, dev_conversations, entities (about 8 passages each), seed.

    Example: retort import synthetic --workspace w conversations=1000 entities=2000
    """
    from dataclasses import asdict

    from retort.config import SyntheticConfig, parse_overrides, validated
    from retort.corpora.synthetic import TEACHER
    from retort.corpora.synthetic import import_synthetic as run
    from retort.teachers.imports import write_rewrites

    settings = validated(SyntheticConfig, parse_overrides(overrides or ()), source="command line")
    place = open_workspace(workspace, create=True)
    done = run(place, **settings.model_dump())
    for split, own in done.rewrites.items():
        write_rewrites(place, own, teacher=TEACHER, split=split, inputs=done.inputs[split])
    if as_json:
        print_json({split: asdict(report) for split, report in done.reports.items()})
        return
    for report in done.reports.values():
        _tell_import(report, as_json=False)


@show.command("turn")
def show_turn(
    query_id: Annotated[str, typer.Argument(help="The turn's id.")],
    workspace: WorkspaceOption,
    split: Annotated[str | None, typer.Option(help="Where it is; by default every split is looked through.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a turn: its conversation, the student's text, the rewrites, the judged passages.

    Example: retort show turn 12_3 --workspace w
    """
    from retort.config import ContextConfig
    from retort.corpora.look import describe_turn

    described = describe_turn(open_workspace(workspace), query_id, split=split, context=ContextConfig())
    if as_json:
        print_json(described)
        return
    from retort.report.turn import turn_view
    from retort.terminal import table_console

    table_console().print(turn_view(described))
