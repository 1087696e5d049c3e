"""The report of an import: what was written, what was left out, and how many turns and passages were published."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from retort.records import Turn

__all__ = ["ImportReport", "Shape", "shape_of"]


@dataclass(frozen=True, slots=True)
class Shape:
    """How turns and positives are spread.

    Attributes:
        turns_per_conversation: Mean.
        longest_conversation: Turns of the longest one.
        positives_per_turn: Mean over all turns, those without one included.
        most_positives: The most positives that one turn has.
        turns_without_positive: Turns that no training uses. Those that are judged nevertheless count as 0 in every measure.
    """

    turns_per_conversation: float = 0.0
    longest_conversation: int = 0
    positives_per_turn: float = 0.0
    most_positives: int = 0
    turns_without_positive: int = 0


def shape_of(turns: Sequence[Turn], positive_turns: Iterable[str]) -> Shape:
    """Count turns by conversation and positives by turn.

    Args:
        turns: The turns of a split.
        positive_turns: The query_id of each judgement that counts as relevant.
    """
    if not turns:
        return Shape()
    conversations = Counter(turn.conversation_id for turn in turns)
    positives = Counter(positive_turns)
    return Shape(
        turns_per_conversation=len(turns) / len(conversations),
        longest_conversation=max(conversations.values()),
        positives_per_turn=positives.total() / len(turns),
        most_positives=max(positives.values(), default=0),
        turns_without_positive=sum(turn.query_id not in positives for turn in turns),
    )


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import.

    Attributes:
        split: Name of the split; None where only passages were imported.
        skipped: The same turns and the same collection were there already; nothing was written.
        conversations: How many conversations the split has.
        turns: How many turns it has.
        passages_added: Passages that are new in the workspace.
        passages_known: Passages of this collection that the workspace had already, with the same content.
        judgements: Written for the split, of any relevance.
        positives_per_turn: Judgements that count as relevant, mean over all turns.
        dropped: What was left out, by reason.
        warnings: What the user should look at.
        shape: How turns and positives are spread.
        published: What was published about this part of the corpus, by the name of the count.
    """

    split: str | None
    skipped: bool
    conversations: int = 0
    turns: int = 0
    passages_added: int = 0
    passages_known: int = 0
    judgements: int = 0
    positives_per_turn: float = 0.0
    dropped: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    shape: Shape = Shape()
    published: dict[str, int] = field(default_factory=dict)
