"""A turn for the terminal."""

from collections.abc import Iterator
from typing import Any

from retort.report.render.table import Cell, Column, Row, Table, one_line, row

__all__ = ["turn_view"]


def turn_view(turn: dict[str, Any]) -> Table:
    """What ``views.look.describe_turn`` found, as a table of what each text is and the text."""
    return Table("", (Column("", "name"), Column("", "text")), list(_rows(turn)), headless=True)


def _rows(turn: dict[str, Any]) -> Iterator[Row]:
    further = "".join(f", {key} {value}" for key, value in turn["attributes"].items() if not key.startswith("ptkb"))
    yield _row(
        "turn",
        f"{turn['query_id']} ({turn['split']}, turn {turn['turn_number']} of {turn['conversation_id']}{further})",
    )
    for message in turn["history"]:
        yield _row(message["role"], message["text"], style="dim")
    yield _row("question", turn["question"], style="bold")
    if turn["answer"]:
        yield _row("answer", turn["answer"], style="dim")
    if known := turn["attributes"].get("ptkb"):
        yield _row("of the user", known, style="dim")
    if turn["read"] is None:
        yield _row("student reads", turn["context"])
    else:
        yield from _read(turn["read"])
    for teacher, rewrite in turn["rewrites"].items():
        yield _row(f"rewrite: {teacher}", rewrite)
    for passage in turn["judged"]:
        text = f"{passage['doc_id']}  {passage['title']}: {one_line(passage['text'][:300])}"
        yield _row(f"relevance {passage['relevance']}", text)


def _row(name: str, text: str, style: str = "") -> Row:
    return row(Cell(name, style="bold"), Cell(text, style=style))


def _read(read: dict[str, Any]) -> Iterator[Row]:
    """The parts of the context, and what the budget cuts of each."""
    yield _row("student reads", f"{read['tokens']} of {read['max_tokens']} tokens", style="dim")
    for segment in read["segments"]:
        lost = f"[{segment['tokens'] - segment['kept']} of {segment['tokens']} tokens are cut"
        if segment["kept"] == segment["tokens"]:
            yield _row("", segment["read"])
        elif segment["kept"]:
            yield _row("", f"{segment['read']} {lost}]")
        else:
            yield _row("", f"{lost}: {segment['text']}]", style="dim")
