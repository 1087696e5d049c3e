"""``retort search``: a conversation with a student, in the terminal."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, say, terminal_progress
from retort.errors import InputError

if TYPE_CHECKING:
    from retort.deploy.ask import Answer, Searcher
    from retort.records import Message

__all__ = ["search"]

HELP = (
    "After the passages comes the answer that the conversation goes on from: a passage's number, a text, or nothing.\n"
    "/new begins another conversation, /quit (or the end of the input) ends."
)


def search(
    run: Annotated[
        str, typer.Argument(help="The run whose student searches; also SWEEP#3, SWEEP#champion, or an MLflow run id.")
    ],
    workspace: WorkspaceOption,
    question: Annotated[str | None, typer.Argument(help="The first question; by default you are asked for it.")] = None,
    history: Annotated[
        list[str] | None,
        typer.Option("--history", help="What was said before, oldest first, user and agent in turn; repeatable."),
    ] = None,
    turn: Annotated[
        str | None, typer.Option(help="Begin with this turn of the corpus: its history, and its question.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the turn; by default every split is looked through.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Passages shown.")] = 5,
    once: Annotated[bool, typer.Option("--once", help="Answer one question, and end: for scripts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Search with a student, in a conversation in the terminal.

    You ask, see the passages and why they were found, answer, and ask on. The query's terms are shown with their weights, and
    with what brought them: the question or the conversation.

    Example: retort search RUN --workspace w

    Example: retort search RUN "and how much does it cost?" --history "What is the Louvre?" --history "A museum." --once -w w
    """
    if as_json and not once:
        raise InputError("--json is one document for one question: add --once")
    if turn is not None and (question is not None or history):
        raise InputError("--turn brings its own question and history: leave QUESTION and --history out")
    if once and question is None and turn is None:
        raise InputError("--once needs a QUESTION, or a --turn of the corpus")
    from retort.naming import run_named

    opened = open_workspace(workspace)
    run = run_named(opened, run)
    said = _messages(history or ())
    if turn is not None:
        from retort.report.views.look import find_turn

        _, begun = find_turn(opened, turn, split=split)
        question, said = begun.question, list(begun.history)
    from retort.deploy.ask import Searcher

    with terminal_progress() as progress:
        searcher = Searcher(opened, run, progress)
    if once:
        assert question is not None, "checked above"
        _tell(searcher.ask(question, said, k=k), searcher.run.name, as_json)
        return
    say(f"{searcher.run.name} searches {searcher.passages:,} passages. {HELP}")
    _converse(searcher, said, question, k)


def _messages(history: "list[str] | tuple[str, ...]") -> "list[Message]":
    from retort.records import Message

    return [Message("agent" if position % 2 else "user", text) for position, text in enumerate(history)]


def _tell(answer: "Answer", run: str, as_json: bool) -> None:
    from retort.report.render.terminal import table_console
    from retort.report.views.answer import answer_json, answer_view

    if as_json:
        print_json(answer_json(answer, run))
    else:
        table_console().print(answer_view(answer))


def _converse(searcher: "Searcher", said: "list[Message]", question: str | None, k: int) -> None:
    from retort.records import Message

    for message in said:
        say(f"{message.role}: {message.text}")
    while True:
        if question is None:
            question = _read(f"\nturn {1 + sum(message.role == 'user' for message in said)}> ")
        else:
            say(f"\nturn {1 + sum(message.role == 'user' for message in said)}> {question}")
        if question is None or question == "/quit":
            return
        if question == "/new" or not question:
            said, question = ([] if question == "/new" else said), None
            continue
        answer = searcher.ask(question, said, k=k)
        _tell(answer, searcher.run.name, as_json=False)
        reply = _read("\nanswer> ")
        if reply is None or reply == "/quit":
            return
        if reply == "/new":
            said, question = [], None
            continue
        if reply.isdecimal() and 1 <= int(reply) <= len(answer.hits):
            reply = answer.hits[int(reply) - 1].passage.text
        said = [*said, Message("user", question), *([Message("agent", reply)] if reply else [])]
        question = None


def _read(prompt: str) -> str | None:
    """A line from the user; None at the end of the input."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stdout.write("\n")
        return None
    return line.strip()
