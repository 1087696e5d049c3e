"""An answer of ``retrieval.ask`` for the terminal and for programs: the query's terms, and passages with what matched."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from retort.deploy.ask import Answer, Hit

__all__ = ["answer_json", "answer_view"]

SNIPPET: Final = 320  # characters of a passage
TERMS: Final = 24  # of a query, the heaviest
STYLES: Final = {"question": "bold", "context": "bold cyan", "expansion": "bold magenta"}
SAYS: Final = {"question": "asked", "context": "added by the context", "expansion": "added by the model"}


def answer_view(answer: Answer) -> Group:
    """The query's terms by where they come from, then the passages."""
    terms = Table.grid(padding=(0, 2))
    terms.add_column(no_wrap=True, style="dim")
    terms.add_column()
    shown = answer.terms[:TERMS]
    for source, says in SAYS.items():
        own = [term for term in shown if term.source == source]
        if own:
            line = Text()
            for term in own:
                line.append(term.token, style=STYLES[source])
                line.append(f" {term.weight:.2f}   ", style="dim")
            terms.add_row(says, line)
    left = len(answer.terms) - len(shown)
    further = f", {left} lighter ones not shown" if left else ""
    counts = f"{len(answer.terms)} terms{further}, {answer.flops:.3f} FLOPS, {answer.milliseconds:.0f} ms"
    cut = [segment for segment in answer.read.segments if len(segment.kept) < segment.tokens]
    if cut:
        lost = sum(segment.tokens - len(segment.kept) for segment in cut)
        counts += f"; {lost} tokens of {len(cut)} earlier messages did not fit into what the student reads"
    parts: list[Text | Table] = [terms, Text(counts, style="dim")]
    if not answer.hits:
        parts.append(Text("no passage holds any of these terms"))
    for hit in answer.hits:
        parts.append(_hit(hit))
    return Group(*parts)


def _hit(hit: Hit) -> Text:
    text = Text("\n")
    text.append(f"{hit.rank}  ", style="bold")
    text.append(f"{hit.score:.2f}  ", style="dim")
    text.append(hit.passage.doc_id, style="dim")
    if hit.passage.title:
        text.append("  ")
        text.append_text(_marked(hit.passage.title, hit.title_spans, 0, len(hit.passage.title)))
    text.append("\n")
    begin, end = snippet(hit.passage.text, hit.spans)
    if begin:
        text.append("... ", style="dim")
    text.append_text(_marked(hit.passage.text, hit.spans, begin, end))
    if end < len(hit.passage.text):
        text.append(" ...", style="dim")
    matched = "  ".join(f"{token} {product:.2f}" for token, product in list(hit.matched.items())[:8])
    text.append(f"\n{matched}", style="dim")
    return text


def _marked(text: str, spans: Sequence[tuple[int, int]], begin: int, end: int) -> Text:
    marked = Text(text[begin:end].replace("\n", " "))
    for first, last in spans:
        if first < end and last > begin:
            marked.stylize("bold yellow", max(first, begin) - begin, min(last, end) - begin)
    return marked


def snippet(text: str, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The part of a text of about ``SNIPPET`` characters that holds the most matches: begin and end, at words' borders."""
    if len(text) <= SNIPPET:
        return 0, len(text)
    starts = [0, *(max(0, first - 20) for first, _ in spans)]
    held = [sum(start <= first and last <= start + SNIPPET for first, last in spans) for start in starts]
    begin = starts[held.index(max(held))]
    if begin:
        begin = text.rfind(" ", 0, begin) + 1
    end = min(len(text), begin + SNIPPET)
    if end < len(text):
        space = text.rfind(" ", begin + 1, end)
        end = space if space > begin else end
    return begin, end


def answer_json(answer: Answer, run: str) -> dict[str, Any]:
    """The same as one JSON document."""
    return {
        "run": run,
        "question": answer.question,
        "turn_number": answer.turn_number,
        "read": [segment.text for segment in answer.read.segments if len(segment.kept)],
        "terms": [asdict(term) for term in answer.terms],
        "FLOPS": answer.flops,
        "milliseconds": answer.milliseconds,
        "passages": [
            {
                "rank": hit.rank,
                "doc_id": hit.passage.doc_id,
                "title": hit.passage.title,
                "text": hit.passage.text,
                "score": hit.score,
                "matched": hit.matched,
            }
            for hit in answer.hits
        ],
    }
