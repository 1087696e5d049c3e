"""``retort import`` for the conversational corpora of the field: QReCC, TREC CAsT, TREC iKAT and MTRAG."""

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
)
from retort.cli.shared import JsonOption, WorkspaceOption

__all__ = ["imports"]


@imports.command("qrecc")
def import_qrecc(
    turns: Annotated[Path, typer.Argument(help="scai-qrecc21-training-turns.json or -test-turns.json.")],
    collection: Collection,
    split: SplitOption,
    workspace: WorkspaceOption,
    qrels: QrelsOption = None,
    first_rewritten: Annotated[
        bool, typer.Option(help="A conversation's first question is replaced by its rewrite, as is the convention.")
    ] = True,
    relevant_from: RelevantFrom = 1,
    allow_missing: AllowMissing = False,
    as_json: JsonOption = False,
) -> None:
    """Import QReCC's turns with their rewrites, as the teacher "human".

    Example: retort import qrecc scai-qrecc21-test-turns.json commoncrawl wayback wayback-backfill --split test -w w
    """
    from retort.corpora.readers.qrecc import import_qrecc as run

    read = partial(
        run,
        turns,
        collection,
        split=split,
        qrels=qrels,
        first_rewritten=first_rewritten,
        relevant_from=relevant_from,
        allow_missing=allow_missing,
    )
    import_into(workspace, read, as_json=as_json)


@imports.command("cast")
def import_cast(
    topics: Annotated[Path, typer.Argument(help="The year's evaluation topics, JSON.")],
    collection: Annotated[
        list[str], typer.Argument(help="Passages: files or folders; PREFIX_=FILE puts PREFIX_ before the file's ids.")
    ],
    year: Annotated[int, typer.Option(min=2019, max=2022, help="2019 to 2022.")],
    split: SplitOption,
    workspace: WorkspaceOption,
    qrels: QrelsOption = None,
    resolved: Annotated[Path | None, typer.Option(help="2019's resolved questions, TSV: the teacher human.")] = None,
    duplicates: Annotated[Path | None, typer.Option(help="Passages to leave out: kept:duplicate,duplicate.")] = None,
    canonical: Annotated[
        Literal["manual", "automatic", "none"], typer.Option(help="Whose canonical responses the history holds.")
    ] = "manual",
    relevant_from: Annotated[
        int | None, typer.Option(min=1, help="Least relevance of a positive; by default 2 in 2020, else 1.")
    ] = None,
    allow_missing: AllowMissing = False,
    as_json: JsonOption = False,
) -> None:
    """Import a year of TREC CAsT, with its rewrites as the teachers "human" and "automatic".

    Example: retort import cast 2020_manual_evaluation_topics_v1.0.json MARCO_=collection.tsv car.tsv
    --year 2020 --qrels 2020qrels.txt --split dev -w w
    """
    from retort.corpora.readers.cast import import_cast as run
    from retort.corpora.readers.cast import named_sources

    read = partial(
        run,
        topics,
        named_sources(collection),
        year=year,
        split=split,
        qrels=qrels,
        resolved=resolved,
        duplicates=duplicates,
        canonical=canonical,
        relevant_from=relevant_from,
        allow_missing=allow_missing,
    )
    import_into(workspace, read, as_json=as_json)


@imports.command("ikat")
def import_ikat(
    topics: Annotated[Path, typer.Argument(help="The year's topics, JSON.")],
    collection: Collection,
    year: Annotated[int, typer.Option(min=2023, max=2025, help="2023 to 2025.")],
    split: SplitOption,
    workspace: WorkspaceOption,
    qrels: QrelsOption = None,
    relevant_from: RelevantFrom = 1,
    allow_missing: AllowMissing = False,
    as_json: JsonOption = False,
) -> None:
    """Import a year of TREC iKAT, with its resolved questions as the teacher "human".

    The user's statements (PTKB) are kept with the turns; context.ptkb says whether the student reads them.

    Example: retort import ikat 2023_test_topics.json clueweb22b/ --year 2023 --qrels qrels.txt --split dev -w w
    """
    from retort.corpora.readers.ikat import import_ikat as run

    read = partial(
        run,
        topics,
        collection,
        year=year,
        split=split,
        qrels=qrels,
        relevant_from=relevant_from,
        allow_missing=allow_missing,
    )
    import_into(workspace, read, as_json=as_json)


@imports.command("mtrag")
def import_mtrag(
    questions: Annotated[Path, typer.Argument(help="A domain's *_questions.jsonl.")],
    collection: Collection,
    qrels: Annotated[Path, typer.Option(help="The domain's qrels/dev.tsv.")],
    split: SplitOption,
    workspace: WorkspaceOption,
    conversations: Annotated[
        Path | None, typer.Option(help="reference.jsonl of the generation tasks: the agent's answers.")
    ] = None,
    rewrites: Annotated[Path | None, typer.Option(help="*_rewrite.jsonl: the teacher mixtral.")] = None,
    relevant_from: RelevantFrom = 1,
    allow_missing: AllowMissing = False,
    as_json: JsonOption = False,
) -> None:
    """Import a domain of MTRAG from its official files.

    Example: retort import mtrag clapnq_questions.jsonl clapnq.jsonl --qrels qrels/dev.tsv --split clapnq -w w
    """
    from retort.corpora.readers.mtrag import import_mtrag as run

    read = partial(
        run,
        questions,
        collection,
        qrels=qrels,
        split=split,
        conversations=conversations,
        rewrites=rewrites,
        relevant_from=relevant_from,
        allow_missing=allow_missing,
    )
    import_into(workspace, read, as_json=as_json)
