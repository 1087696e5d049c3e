"""What the import commands have in common: their options, and what each import tells of itself."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retort.cli.shared import open_workspace, print_json, say, terminal_progress

if TYPE_CHECKING:
    from retort.corpora.importing import CorpusImport
    from retort.corpora.report import ImportReport

__all__ = [
    "AllowMissing",
    "Collection",
    "QrelsOption",
    "RelevantFrom",
    "SplitOption",
    "import_into",
    "imports",
    "tell_import",
]

imports = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Import a corpus into a workspace.")

SplitOption = Annotated[str, typer.Option(help="Name of the split in the workspace.")]
QrelsOption = Annotated[
    Path | None, typer.Option(help="TREC qrels; without them, what the turns give as relevant are the judgements.")
]
AllowMissing = Annotated[bool, typer.Option(help="Drop positives that the collection lacks, and count them.")]
Collection = Annotated[
    list[Path],
    typer.Argument(help="Passages: files or folders of .tsv, .jsonl or .parquet, also .gz or .zst."),
]
RelevantFrom = Annotated[int, typer.Option(min=1, help="Least relevance that makes a passage a positive.")]


def tell_import(report: "ImportReport", as_json: bool) -> None:
    """Say what an import did, or print it as JSON."""
    from dataclasses import asdict

    if as_json:
        print_json(asdict(report))
        return
    what = "there already" if report.skipped else "imported"
    passages = f"passages: {report.passages_added:,} added, {report.passages_known:,} known"
    if report.split is None:
        say(f"{what}: {passages}")
    else:
        say(
            f"{report.split}: {what}: {report.turns:,} turns of {report.conversations:,} conversations, "
            f"{report.judgements:,} judgements ({report.positives_per_turn:.2f} positives a turn); {passages}"
        )
        shape = report.shape
        say(
            f"  a conversation has {shape.turns_per_conversation:.1f} turns (at most {shape.longest_conversation}); "
            f"a turn has at most {shape.most_positives} positives, {shape.turns_without_positive:,} turns have none"
        )
    if report.published:
        say(f"  published: {', '.join(f'{count:,} {name}' for name, count in report.published.items())}")
    for reason, count in report.dropped.items():
        say(f"  dropped: {count:,} {reason}")
    for warning in report.warnings:
        say(f"  note: {warning}")


def import_into(workspace: str, read: "Callable[..., CorpusImport]", *, as_json: bool) -> None:
    """Import a corpus with the rewrites that come with it, and tell of all of it.

    Args:
        workspace: Where to; made if it is not there.
        read: The reader with its arguments, except ``workspace`` and ``progress``.
        as_json: Told as one JSON document.
    """
    from dataclasses import asdict

    from retort.teachers.imports import write_rewrites

    place = open_workspace(workspace, create=True)
    with terminal_progress() as progress:
        done = read(workspace=place, progress=progress)
    counts = {}
    for teacher, own in done.rewrites.items():
        assert done.report.split is not None, "rewrites are of a split"
        counts[teacher] = write_rewrites(
            place, own, teacher=teacher, split=done.report.split, inputs={**done.inputs, "with": "its corpus"}
        )
    if as_json:
        print_json(asdict(done.report) | {"rewrites": {teacher: asdict(c) for teacher, c in counts.items()}})
        return
    tell_import(done.report, as_json=False)
    for teacher, written in counts.items():
        say(f"  rewrites by {teacher}: {written.rewrites:,}; {written.without:,} turns without")
