"""``retort show``: a look at what a workspace holds."""

import sys
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

__all__ = ["show"]

show = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at what a workspace holds.")


@show.command("turn")
def show_turn(
    query_id: Annotated[str, typer.Argument(help="The turn's id.")],
    workspace: WorkspaceOption,
    overrides: Overrides = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the turn; by default every split is looked through.")
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option(help="Experiment whose context and budget are shown; by default the defaults.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a turn as the student reads it.

    Its conversation, the student's input, the rewrites and the judged passages are shown.

    The budget's cut is shown where the encoder's tokeniser is there: a model's own, or the prepared collection's.

    Example: retort show turn 12_3 --workspace w context.order=oldest_first encoder.query_tokens=64
    """
    from retort.config import experiment_from, load_experiment, parse_overrides, with_overrides
    from retort.report.views.look import describe_turn

    words = overrides or ()
    config = (
        load_experiment(experiment, words)
        if experiment is not None
        else experiment_from(with_overrides({}, parse_overrides(words)), source="command line")
    )
    opened = open_workspace(workspace)
    described = describe_turn(
        opened,
        query_id,
        split=split,
        context=config.context,
        tokenizer=_tokenizer(opened, config.encoder),
        max_tokens=config.encoder.query_tokens,
    )
    if as_json:
        print_json(described)
        return
    from retort.report.render.terminal import table_console
    from retort.report.views.turn import turn_view

    table_console().print(turn_view(described))


@show.command("settings")
def show_settings(
    prefix: Annotated[str, typer.Argument(help="A section or a key, such as sampling; by default all of them.")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="The whole reference as Markdown.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every setting of an experiment, and its default.

    Example: retort show settings regularization
    """
    from dataclasses import asdict

    from retort.config import settings_markdown, settings_of
    from retort.errors import InputError

    if markdown:
        say(settings_markdown().rstrip("\n"))
        return
    shown = [setting for setting in settings_of() if setting.key.startswith(prefix)]
    if not shown:
        sections = dict.fromkeys(setting.key.partition(".")[0] for setting in settings_of())
        raise InputError(f"no setting begins with {prefix!r}; there are {', '.join(sections)}")
    if as_json:
        print_json([asdict(setting) for setting in shown])
        return
    from retort.report.render.table import Column, Table, row
    from retort.report.render.terminal import table_console

    rows = []
    for setting in shown:
        takes = setting.kind.replace("`", "")
        rows.append(row(setting.key, setting.default, f"{takes}: {setting.meaning}" if setting.meaning else takes))
    columns = (Column("key", "name"), Column("default", "text"), Column("takes, and what it does", "text"))
    table_console().print(Table("", columns, rows))


@show.command("spaces")
def show_spaces(
    name: Annotated[str | None, typer.Argument(help="Print this one, to begin one of your own with.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List Retort's search spaces and profiles, or print one.

    Example: retort show spaces pareto > mine.yaml
    """
    from retort.config import shipped_spaces
    from retort.errors import InputError

    spaces = shipped_spaces()
    if name is not None:
        if name not in spaces:
            raise InputError(f"no search space {name!r} comes with Retort; there are {', '.join(spaces)}")
        sys.stdout.write(spaces[name].read_text(encoding="utf-8"))
        return
    questions = {}
    for space, path in spaces.items():
        comments = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
        first = " ".join(comments).partition("? ")[0].partition(". ")[0].rstrip(".?:")
        asked = first.startswith("Question: ")
        questions[space] = f"{first.removeprefix('Question: ')}{'?' if asked else ''}"
    if as_json:
        print_json(questions)
        return
    for space, question in questions.items():
        say(f"{space}\n    {question}")


@show.command("qrels")
def show_qrels(
    split: Annotated[str, typer.Argument(help="A split, or validate: what a run's experiment holds out.")],
    workspace: WorkspaceOption,
    run: Annotated[
        str | None, typer.Option(help="Run whose validate is meant; by default the latest prepared experiment's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a split's judgements as TREC qrels.

    They are graded, and what evaluations measure with; trec_eval and ir-measures read them.

    Example: retort show qrels dev --workspace w > dev.qrels
    """
    from retort.formats.trec import trec_qrels
    from retort.naming import run_named
    from retort.report.comparison.systems import judged_questions

    opened = open_workspace(workspace)
    questions = judged_questions(opened, split, run=None if run is None else run_named(opened, run))
    judgements, relevant_from = questions.judgements, questions.relevant_from
    if as_json:
        print_json({"split": split, "relevant_from": relevant_from, "judgements": judgements})
        return
    sys.stdout.write(trec_qrels(judgements))
    if relevant_from > 1:  # a reader of the file alone cannot know
        sys.stderr.write(f"relevant from {relevant_from} on: trec_eval -l {relevant_from}\n")


@show.command("cache")
def show_cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove what was not used in the last quarter of an hour.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the size of this machine's cache of remote files.

    RETORT_CACHE names its folder, and RETORT_CACHE_GIB its limit; what was not used for longest goes first.

    Example: retort show cache --clear
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from retort.storage.cache import cache_state, clear_cache

    freed = clear_cache() if clear else 0
    state = cache_state()
    if as_json:
        print_json({**asdict(state), "folder": str(state.folder), "freed": freed})
        return
    say(f"{state.folder}: {state.files:,} files, {state.bytes / 2**30:.2f} of at most {state.limit / 2**30:g} GiB")
    if state.least_recently_used is not None:
        used = datetime.fromtimestamp(state.least_recently_used, UTC).isoformat(sep=" ", timespec="seconds")
        say(f"not used for longest: since {used}")
    if clear:
        say(f"{freed / 2**30:.2f} GiB were removed")


def _tokenizer(workspace: "Workspace", encoder: "EncoderConfig") -> "Tokenizer | None":
    from retort.shards.vectors import vectors_stage
    from retort.sparse.encoders.models import model_directory
    from retort.sparse.tokens import Tokenizer

    directory = model_directory(encoder)
    if directory is not None:
        return Tokenizer(directory)
    prepared = vectors_stage(workspace, encoder).folder
    return None if prepared.record() is None else Tokenizer(prepared.local_tree("tokenizer"))
