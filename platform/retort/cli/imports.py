"""``retort import`` for TopiOCQA's form, the generated corpus, and collections with queries: BEIR, MS MARCO, JSON lines."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from retort.cli.imported import (
    AllowMissing,
    Collection,
    QrelsOption,
    RelevantFrom,
    SplitOption,
    import_into,
    imports,
    tell_import,
)
from retort.cli.shared import (
    JsonOption,
    Overrides,
    WorkspaceOption,
    open_workspace,
    print_json,
)

__all__ = ["imports"]


@imports.command("topiocqa")
def import_topiocqa(
    topics: Annotated[Path, typer.Argument(help="JSON of all_history or original: train.json or dev.json.")],
    collection: Annotated[Path, typer.Argument(help="TSV with header id, text, title; may be .gz or .zst.")],
    split: SplitOption,
    workspace: WorkspaceOption,
    qrels: QrelsOption = None,
    variant: Annotated[
        Literal["all_history", "original"],
        typer.Option(help="Of the topics: with the history in each question or not."),
    ] = "all_history",
    rewrites: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="A rewrites_* variant, as the teacher NAME.")
    ] = None,
    relevant_from: RelevantFrom = 1,
    allow_missing: AllowMissing = False,
    as_json: JsonOption = False,
) -> None:
    """Import TopiOCQA, or any corpus in its format.

    Example: retort import topiocqa dev.json full_wiki_segments.tsv --split dev --workspace w
    """
    from retort.config import checked_name
    from retort.corpora import import_topiocqa as run
    from retort.errors import InputError

    named = {}
    for word in rewrites or ():
        name, equals, file = word.partition("=")
        if not equals or not file:
            raise InputError(f"--rewrites: expected NAME=FILE, got {word!r}")
        named[checked_name(name, "teacher")] = Path(file)
    read = partial(
        run,
        topics,
        collection,
        split=split,
        qrels=qrels,
        variant=variant,
        rewrites=named,
        relevant_from=relevant_from,
        allow_missing=allow_missing,
    )
    import_into(workspace, read, as_json=as_json)


@imports.command("beir")
def import_beir(
    folder: Annotated[Path, typer.Argument(help="With corpus.jsonl, queries.jsonl and qrels/.")],
    split: Annotated[str, typer.Option(help="Of qrels/SPLIT.tsv.")],
    workspace: WorkspaceOption,
    name: Annotated[str | None, typer.Option(help="Of the split in the workspace; by default the same.")] = None,
    relevant_from: RelevantFrom = 1,
    allow_missing: AllowMissing = False,
    as_json: JsonOption = False,
) -> None:
    """Import a split of a data set in BEIR's layout: each query is a conversation of one turn.

    Example: retort import beir scifact --split test --workspace w
    """
    from retort.corpora.readers.beir import import_beir as run

    read = partial(run, folder, split=split, name=name, relevant_from=relevant_from, allow_missing=allow_missing)
    import_into(workspace, read, as_json=as_json)


@imports.command("msmarco")
def import_msmarco(
    collection: Collection,
    workspace: WorkspaceOption,
    queries: Annotated[Path | None, typer.Option(help="TSV of id and text; without it, passages alone.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements of the queries.")] = None,
    split: Annotated[str | None, typer.Option(help="Name of the queries in the workspace.")] = None,
    relevant_from: RelevantFrom = 1,
    allow_missing: AllowMissing = False,
    as_json: JsonOption = False,
) -> None:
    """Import MS MARCO's passages, and judged queries where they are named.

    Example: retort import msmarco collection.tsv --queries queries.dev.tsv --qrels qrels.dev.tsv --split dev -w w
    """
    from retort.corpora.readers.beir import import_msmarco as run

    read = partial(
        run,
        collection,
        queries=queries,
        qrels=qrels,
        split=split,
        relevant_from=relevant_from,
        allow_missing=allow_missing,
    )
    import_into(workspace, read, as_json=as_json)


@imports.command("jsonl")
def import_jsonl(
    turns: Annotated[Path, typer.Argument(help="turns.jsonl: our own records, one a line (docs/corpora.md).")],
    collection: Collection,
    split: SplitOption,
    workspace: WorkspaceOption,
    qrels: QrelsOption = None,
    relevant_from: RelevantFrom = 1,
    allow_missing: AllowMissing = False,
    as_json: JsonOption = False,
) -> None:
    """Import a corpus of your own from plain JSON lines.

    Example: retort import jsonl turns.jsonl passages.jsonl --split train --workspace w
    """
    from retort.corpora.readers.plain import import_jsonl as run

    read = partial(
        run, turns, collection, split=split, qrels=qrels, relevant_from=relevant_from, allow_missing=allow_missing
    )
    import_into(workspace, read, as_json=as_json)


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
    from retort.corpora.synthetic.generate import TEACHER
    from retort.corpora.synthetic.generate import import_synthetic as run
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
        tell_import(report, as_json=False)
