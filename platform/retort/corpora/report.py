"""What every import of a corpus tells of itself."""

from dataclasses import dataclass

__all__ = ["ImportReport"]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        split: Name of the split.
        skipped: The same turns and the same collection were there already; nothing was written.
        conversations: In the split.
        turns: In the split.
        passages_added: New in the workspace.
        passages_known: Of this collection, there already with the same content.
        judgements: Written for the split, of any relevance.
        positives_per_turn: Judgements above 0, mean over all turns.
        dropped: What was left out, by reason.
        warnings: What the user should look at.
    """

    split: str
    skipped: bool
    conversations: int
    turns: int
    passages_added: int
    passages_known: int
    judgements: int
    positives_per_turn: float
    dropped: dict[str, int]
    warnings: tuple[str, ...]
