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
    further = "".join(f", {key} {value}" for key, value in turn["attributes"].items())
    view.add_row(
        "turn",
        Text(f"{turn['query_id']} ({turn['split']}, turn {turn['turn_number']} of {turn['conversation_id']}{further})"),
    )
    for message in turn["history"]:
        view.add_row(message["role"], Text(message["text"], style="dim"))
    view.add_row("question", Text(turn["question"], style="bold"))
    if turn["answer"]:
        view.add_row("answer", Text(turn["answer"], style="dim"))
    view.add_row("student reads", Text(turn["context"]))
    for teacher, rewrite in turn["rewrites"].items():
        view.add_row(f"rewrite: {teacher}", Text(rewrite))
    for passage in turn["judged"]:
        view.add_row(
            f"relevance {passage['relevance']}",
            Text(f"{passage['doc_id']}  {passage['title']}: {passage['text'][:300]}"),
        )
    return view
