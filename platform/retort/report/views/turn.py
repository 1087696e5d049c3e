"""A turn for the terminal."""

from typing import Any

from rich.table import Table
from rich.text import Text

__all__ = ["turn_view"]


def turn_view(turn: dict[str, Any]) -> Table:
    """What ``corpora.look.describe_turn`` found, readable."""
    view = Table.grid(padding=(0, 2))
    view.add_column(style="bold", no_wrap=True)
    view.add_column()
    further = "".join(f", {key} {value}" for key, value in turn["attributes"].items() if not key.startswith("ptkb"))
    view.add_row(
        "turn",
        Text(f"{turn['query_id']} ({turn['split']}, turn {turn['turn_number']} of {turn['conversation_id']}{further})"),
    )
    for message in turn["history"]:
        view.add_row(message["role"], Text(message["text"], style="dim"))
    view.add_row("question", Text(turn["question"], style="bold"))
    if turn["answer"]:
        view.add_row("answer", Text(turn["answer"], style="dim"))
    if known := turn["attributes"].get("ptkb"):
        view.add_row("of the user", Text(known, style="dim"))
    if turn["read"] is None:
        view.add_row("student reads", Text(turn["context"]))
    else:
        view.add_row("student reads", _read(turn["read"]))
    for teacher, rewrite in turn["rewrites"].items():
        view.add_row(f"rewrite: {teacher}", Text(rewrite))
    for passage in turn["judged"]:
        view.add_row(
            f"relevance {passage['relevance']}",
            Text(f"{passage['doc_id']}  {passage['title']}: {passage['text'][:300]}"),
        )
    return view


def _read(read: dict[str, Any]) -> Text:
    """The parts of the context, and what the budget cuts of each."""
    text = Text(f"{read['tokens']} of {read['max_tokens']} tokens", style="dim")
    for segment in read["segments"]:
        text.append("\n")
        text.append(segment["read"], style="not dim")
        if segment["kept"] < segment["tokens"]:
            lost = f"[{segment['tokens'] - segment['kept']} of {segment['tokens']} tokens are cut"
            text.append(f" {lost}: {segment['text']}]" if not segment["kept"] else f" {lost}]", style="dim")
    return text
