"""What a round is to do, and what it came to."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos.verdict import Verdict

__all__ = ["KINDS_OF_ROUNDS", "SMALL_ROUNDS", "Done", "Plan"]


@dataclass(frozen=True)
class Plan:
    """What a round does.

    Attributes:
        work: ``commands``, ``prepare`` or ``sweep``.
        remote: On the object store, or on the shared disk.
        workers: Train workers of a trial; 0: a trial trains in its actor.
        faults: How many to inject, at most.
        brief: Leave out faults that last for long.
    """

    work: str
    remote: bool
    workers: int = 0
    faults: int = 12
    brief: bool = False

    @property
    def name(self) -> str:
        """In words."""
        where = "on S3" if self.remote else "on a shared folder"
        return f"{self.work}{' on two Train workers' if self.workers else ''} {where}"


KINDS_OF_ROUNDS = (
    Plan("commands", remote=False, faults=24),
    Plan("sweep", remote=True),
    Plan("commands", remote=True, faults=16),
    Plan("sweep", remote=False),
    Plan("prepare", remote=True, faults=8),
    Plan("sweep", remote=True, workers=2),
    Plan("prepare", remote=False, faults=8),
    Plan("sweep", remote=False, workers=2),
)
SMALL_ROUNDS = (
    Plan("commands", remote=False, faults=6),
    Plan("sweep", remote=True, faults=5, brief=True),
    Plan("commands", remote=True, faults=4),
)


@dataclass
class Done:
    """A round that was played; one line of the results.

    Attributes:
        plan: What it did.
        seed: Of its random numbers.
        faults: Kind, second, detail and whether something was met, for each.
        attempts: How often the work was started.
        verdict: What it came to.
        seconds: How long it took.
        log: The ends of what failing attempts printed.
    """

    plan: Plan
    seed: str
    faults: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """Faults that met something, by kind."""
        return Counter(fault["kind"] for fault in self.faults if fault["hit"])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)
