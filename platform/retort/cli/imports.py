"""``retort import``: the conversational corpora of the field, plain forms of them, collections with queries, a generated one."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from retort.cli.shared import JsonOption, Overrides, WorkspaceOption, open_workspace, print_json, say, terminal_progress
from retort.errors import InputError

if TYPE_CHECKING:
    from retort.corpora.importing import CorpusImport
    from retort.corpora.passages import PassageFile
    from retort.corpora.report import ImportReport

__all__ = ["imports"]

imports = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Import a corpus into a workspace.")

Collection = Annotated[
    list[Path],
    typer.Argument(help="Passages: files or folders of .tsv, .jsonl or .parquet, also .gz or .zst."),
]
QrelsOption = Annotated[
    Path | None, typer.Option(help="TREC qrels; without them the passages that the turns name are the judgements.")
]


@dataclass(frozen=True)
class ImportOptions:
    """The options that every import has."""

    workspace: WorkspaceOption
    split: Annotated[str, typer.Option(help="Name of the split in the workspace.")]
    relevant_from: Annotated[int, typer.Option(min=1, help="Least relevance that makes a passage a positive.")] = 1
    allow_missing: Annotated[
        bool, typer.Option(help="Leave out positives that the collection lacks, and count them.")
    ] = False
    as_json: JsonOption = False

    def read(
        self,
        reader: "Callable[..., CorpusImport]",
        *files: Path,
        collection: "Sequence[Path | PassageFile]" = (),
        qrels: Path | None = None,
        **others: object,
    ) -> None:
        """Import a corpus with the rewrites that come with it, and print what was written.

        Args:
            reader: Reads the corpus; it gets what is asked for, then the files and options of its own.
            *files: The reader's own files.
            collection: Files and folders of passages.
            qrels: Judgements.
            **others: The reader's own options.
        """
        from dataclasses import asdict

        from retort.corpora.importing import ImportRequest
        from retort.teachers.imports import write_rewrites

        workspace = open_workspace(self.workspace, create=True)
        with terminal_progress() as progress:
            request = ImportRequest(
                workspace, self.split, collection, qrels, self.relevant_from, self.allow_missing, progress
            )
            done = reader(request, *files, **others)
        counts = {}
        for teacher, rewrites in done.rewrites.items():
            assert done.report.split is not None, "rewrites are of a split"
            inputs = {**done.inputs, "with": "its corpus"}
            counts[teacher] = write_rewrites(
                workspace, rewrites, teacher=teacher, split=done.report.split, inputs=inputs
            )
        if self.as_json:
            print_json(asdict(done.report) | {"rewrites": {teacher: asdict(c) for teacher, c in counts.items()}})
            return
        _print_report(done.report)
        for teacher, written in counts.items():
            say(f"  rewrites by {teacher}: {written.rewrites:,}; {written.without:,} turns without")


def _command(name: str) -> Callable[[Callable[..., None]], None]:
    """Make a function a command. Its ``options`` stand one by one on the command line, but for those that it has itself."""

    def register(function: Callable[..., None]) -> None:
        own = {key: value for key, value in inspect.signature(function).parameters.items() if key != "options"}
        shared = inspect.signature(ImportOptions).parameters
        # By keyword, since a parameter with a default may then stand before one that has none.
        every = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in {**own, **shared, **own}.values()]

        def command(**given: Any) -> None:
            options = ImportOptions(**{field.name: given[field.name] for field in fields(ImportOptions)})
            function(options=options, **{key: given[key] for key in own})

        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in every}
        imports.command(name)(command)

    return register


@_command("topiocqa")
def _topiocqa(
    topics: Annotated[Path, typer.Argument(help="JSON of all_history or original: train.json or dev.json.")],
    collection: Annotated[Path, typer.Argument(help="TSV with header id, text, title; may be .gz or .zst.")],
    options: ImportOptions,
    qrels: QrelsOption = None,
    variant: Annotated[
        Literal["all_history", "original"],
        typer.Option(help="Whether each of the topics' questions holds its history."),
    ] = "all_history",
    rewrites: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="A rewrites_* variant, as the teacher NAME.")
    ] = None,
) -> None:
    """Import TopiOCQA, or any corpus in its format.

    Example: retort import topiocqa dev.json full_wiki_segments.tsv --split dev --workspace w
    """
    from retort.config import checked_name
    from retort.corpora.readers.topiocqa import import_topiocqa

    named = {}
    for word in rewrites or ():
        name, equals, file = word.partition("=")
        if not equals or not file:
            raise InputError(f"--rewrites: expected NAME=FILE, got {word!r}")
        named[checked_name(name, "teacher")] = Path(file)
    options.read(import_topiocqa, topics, collection=[collection], qrels=qrels, variant=variant, rewrites=named)


@_command("qrecc")
def _qrecc(
    turns: Annotated[Path, typer.Argument(help="scai-qrecc21-training-turns.json or -test-turns.json.")],
    collection: Collection,
    options: ImportOptions,
    qrels: QrelsOption = None,
    first_rewritten: Annotated[
        bool, typer.Option(help="Replace a conversation's first question by its rewrite, as is the convention.")
    ] = True,
) -> None:
    """Import QReCC's turns with their rewrites.

    They become the rewrites of the teacher "human".

    Example: retort import qrecc scai-qrecc21-test-turns.json commoncrawl wayback wayback-backfill --split test -w w
    """
    from retort.corpora.readers.qrecc import import_qrecc

    options.read(import_qrecc, turns, collection=collection, qrels=qrels, first_rewritten=first_rewritten)


@_command("cast")
def _cast(
    topics: Annotated[Path, typer.Argument(help="The year's evaluation topics, JSON.")],
    collection: Annotated[
        list[str], typer.Argument(help="Passages: files or folders; PREFIX_=FILE puts PREFIX_ before the file's ids.")
    ],
    year: Annotated[int, typer.Option(min=2019, max=2022, help="2019 to 2022.")],
    options: ImportOptions,
    qrels: QrelsOption = None,
    resolved: Annotated[
        Path | None, typer.Option(help="2019's resolved questions, TSV, which become the teacher human.")
    ] = None,
    duplicates: Annotated[Path | None, typer.Option(help="Passages to leave out: kept:duplicate,duplicate.")] = None,
    canonical: Annotated[
        Literal["manual", "automatic", "none"], typer.Option(help="Which canonical responses the history holds.")
    ] = "manual",
    relevant_from: Annotated[
        int | None, typer.Option(min=1, help="Least relevance of a positive; by default 2 in 2020, else 1.")
    ] = None,
) -> None:
    """Import a year of TREC CAsT with its rewrites.

    They become the teachers "human" and "automatic".

    Example: retort import cast 2020_manual_evaluation_topics_v1.0.json MARCO_=collection.tsv car.tsv
    --year 2020 --qrels 2020qrels.txt --split dev -w w
    """
    from retort.corpora.readers.cast import import_cast, named_sources

    options.read(
        import_cast,
        topics,
        collection=named_sources(collection),
        year=year,
        qrels=qrels,
        resolved=resolved,
        duplicates=duplicates,
        canonical=canonical,
    )


@_command("ikat")
def _ikat(
    topics: Annotated[Path, typer.Argument(help="The year's topics, JSON.")],
    collection: Collection,
    year: Annotated[int, typer.Option(min=2023, max=2025, help="2023 to 2025.")],
    options: ImportOptions,
    qrels: QrelsOption = None,
) -> None:
    """Import a year of TREC iKAT with its resolved questions.

    They become the teacher "human". The user's statements (PTKB) are kept with the turns; context.ptkb says whether the
    student reads them.

    Example: retort import ikat 2023_test_topics.json clueweb22b/ --year 2023 --qrels qrels.txt --split dev -w w
    """
    from retort.corpora.readers.ikat import import_ikat

    options.read(import_ikat, topics, collection=collection, qrels=qrels, year=year)


@_command("mtrag")
def _mtrag(
    questions: Annotated[Path, typer.Argument(help="A domain's *_questions.jsonl.")],
    collection: Collection,
    qrels: Annotated[Path, typer.Option(help="The domain's qrels/dev.tsv.")],
    options: ImportOptions,
    conversations: Annotated[
        Path | None, typer.Option(help="reference.jsonl of the generation tasks, with the agent's answers.")
    ] = None,
    rewrites: Annotated[
        Path | None, typer.Option(help="*_rewrite.jsonl, whose rewrites become the teacher mixtral.")
    ] = None,
) -> None:
    """Import a domain of MTRAG from its official files.

    Example: retort import mtrag clapnq_questions.jsonl clapnq.jsonl --qrels qrels/dev.tsv --split clapnq -w w
    """
    from retort.corpora.readers.mtrag import import_mtrag

    options.read(
        import_mtrag, questions, collection=collection, qrels=qrels, conversations=conversations, rewrites=rewrites
    )


@_command("beir")
def _beir(
    folder: Annotated[Path, typer.Argument(help="Holds corpus.jsonl, queries.jsonl and qrels/.")],
    split: Annotated[str, typer.Option(help="Name of the judgements: qrels/SPLIT.tsv.")],
    options: ImportOptions,
    name: Annotated[
        str | None, typer.Option(help="Name of the split in the workspace; by default the judgements'.")
    ] = None,
) -> None:
    """Import a split of a data set in BEIR's layout.

    Each query is a conversation of one turn.

    Example: retort import beir scifact --split test --workspace w
    """
    from retort.corpora.readers.beir import import_beir

    options.read(import_beir, folder, name=name)


@_command("msmarco")
def _msmarco(
    collection: Collection,
    options: ImportOptions,
    queries: Annotated[Path | None, typer.Option(help="TSV of id and text; without it, passages alone.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements of the queries.")] = None,
    split: Annotated[str | None, typer.Option(help="Name of the queries in the workspace.")] = None,
) -> None:
    """Import MS MARCO's passages, with judged queries or without.

    Example: retort import msmarco collection.tsv --queries queries.dev.tsv --qrels qrels.dev.tsv --split dev -w w
    """
    from retort.corpora.readers.beir import import_msmarco

    options.read(import_msmarco, collection=collection, qrels=qrels, queries=queries)


@_command("jsonl")
def _jsonl(
    turns: Annotated[Path, typer.Argument(help="turns.jsonl: Retort's own records, one a line (docs/corpora.md).")],
    collection: Collection,
    options: ImportOptions,
    qrels: QrelsOption = None,
) -> None:
    """Import a corpus of your own from plain JSON lines.

    Example: retort import jsonl turns.jsonl passages.jsonl --split train --workspace w
    """
    from retort.corpora.readers.plain import import_jsonl

    options.read(import_jsonl, turns, collection=collection, qrels=qrels)


@imports.command("synthetic")
def _synthetic(
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a corpus of conversations with their rewrites.

    The rewrites are those of the teacher "synthetic". Settings: conversations, dev_conversations, entities (about 8 passages
    each), seed.

    Example: retort import synthetic --workspace w conversations=1000 entities=2000
    """
    from dataclasses import asdict

    from retort.config import SyntheticConfig, parse_overrides, validated
    from retort.corpora.synthetic.generate import TEACHER, import_synthetic
    from retort.teachers.imports import write_rewrites

    settings = validated(SyntheticConfig, parse_overrides(overrides or ()), source="command line")
    opened = open_workspace(workspace, create=True)
    done = import_synthetic(opened, **settings.model_dump())
    for split, rewrites in done.rewrites.items():
        write_rewrites(opened, rewrites, teacher=TEACHER, split=split, inputs=done.inputs[split])
    if as_json:
        print_json({split: asdict(report) for split, report in done.reports.items()})
        return
    for report in done.reports.values():
        _print_report(report)


def _print_report(report: "ImportReport") -> None:
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
