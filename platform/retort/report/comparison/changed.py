"""The turns that a run changed most against the baseline, with what a person needs to see why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from retort.corpora.collection import passages_by_id
from retort.formats.trec import ranked
from retort.records import Message, Passage, Turn
from retort.report.comparison.compare import gains
from retort.report.comparison.systems import Questions, System
from retort.report.views.look import UNKNOWN, rewrites_of
from retort.storage import Workspace

__all__ = ["TOP", "ChangedTurn", "Judged", "Placed", "changed_turns", "most_changed"]

TOP: Final = 3  # passages of each ranking
Outcome = Literal["win", "loss"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A passage at the top of a ranking; ``relevance`` is None where nobody judged it."""

    rank: int
    doc_id: str
    relevance: int | None
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A relevant passage, and its rank in both rankings; None where it was not retrieved."""

    doc_id: str
    relevance: int
    title: str
    text: str
    baseline_rank: int | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class ChangedTurn:
    """One turn on which a run and the baseline differ.

    Attributes:
        outcome: Whether the run won or lost the turn.
        number: 1 for the turn that changed most.
        of: How many wins, or losses, there are.
        measure: The measure by which turns are ordered.
        before: The baseline's value of the measure.
        after: The run's value.
        query_id: Names the turn.
        conversation_id: The conversation that the turn belongs to.
        turn_number: The number of the turn in its conversation.
        attributes: The turn's further columns, but for long texts.
        history: The messages before the turn, oldest first.
        rewrites: Teacher -> rewrite.
        relevant: The relevant passages, the most relevant first.
        baseline_top: The first passages of the baseline's ranking.
        top: The first passages of the run's ranking.
    """

    run: str
    baseline: str
    outcome: Outcome
    number: int
    of: int
    measure: str
    before: float
    after: float
    query_id: str
    conversation_id: str
    turn_number: int
    attributes: Mapping[str, str]
    history: tuple[Message, ...]
    question: str
    rewrites: Mapping[str, str]
    relevant: tuple[Judged, ...]
    baseline_top: tuple[Placed, ...]
    top: tuple[Placed, ...]


def most_changed(
    run: Mapping[str, Mapping[str, float]],
    baseline: Mapping[str, Mapping[str, float]],
    measure: str,
    *,
    count: int,
) -> dict[Outcome, tuple[list[str], int]]:
    """The turns that changed most, wins and losses apart.

    Args:
        run: query_id -> measure -> value.
        baseline: The same turns and measures.
        measure: The measure that is compared; among equal changes RR decides, then the query_id.
        count: How many wins, and how many losses, are returned at most.

    Returns:
        Outcome -> (query_ids, the greatest change first; how many there are in all).
    """
    query_ids = sorted(run)
    columns = []
    for name in (measure, "RR"):
        differences = np.array([run[query_id][name] - baseline[query_id][name] for query_id in query_ids])
        columns.append(dict(zip(query_ids, gains(differences, name).tolist(), strict=True)))
    gain, then = columns
    wins = sorted((q for q in query_ids if gain[q] > 0), key=lambda q: (-round(gain[q], 12), -then[q], q))
    losses = sorted((q for q in query_ids if gain[q] < 0), key=lambda q: (round(gain[q], 12), then[q], q))
    return {"win": (wins[:count], len(wins)), "loss": (losses[:count], len(losses))}


def changed_turns(
    workspace: Workspace,
    systems: Sequence[System],
    baseline: System,
    questions: Questions,
    *,
    measure: str,
    count: int,
) -> list[ChangedTurn]:
    """The turns that each system changed most against the baseline, ``count`` wins and as many losses.

    Args:
        workspace: Holds passages and rewrites.
        systems: The systems that are compared with the baseline, which may be among them.
        baseline: The system that they are compared with.
        questions: The judged turns.
        measure: The measure that is compared.
        count: How many wins, and how many losses, of each system are returned at most.
    """
    turns = {turn.query_id: turn for turn in questions.turns}
    teachers = [teacher for system in (baseline, *systems) for teacher in system.teachers]
    rewrites = rewrites_of(workspace, questions.source)
    # Whose rewrites the runs saw; where nobody of them saw any, everybody's.
    rewrites = {name: rewrites[name] for name in dict.fromkeys(teachers) if name in rewrites} or rewrites
    before = baseline.rankings()
    chosen: list[_Chosen] = []
    for system in (system for system in systems if system is not baseline):
        after = system.rankings()
        for outcome, (query_ids, of) in most_changed(system.per_turn, baseline.per_turn, measure, count=count).items():
            for number, query_id in enumerate(query_ids, start=1):
                judged = questions.judgements[query_id]
                relevant = [doc_id for doc_id, grade in judged.items() if grade >= questions.relevant_from]
                relevant.sort(key=judged.__getitem__, reverse=True)
                ranks = (ranked(before.get(query_id, {})), ranked(after.get(query_id, {})))
                chosen.append(_Chosen(system, outcome, number, of, query_id, relevant, *ranks))
    # All at once: finding one passage's row reads every doc_id of the collection.
    shown = [doc_id for choice in chosen for doc_id in (*choice.relevant, *choice.before[:TOP], *choice.after[:TOP])]
    texts = passages_by_id(workspace, shown) if shown else {}
    changed = []
    for choice in chosen:
        turn, judged = turns[choice.query_id], questions.judgements[choice.query_id]
        changed.append(
            ChangedTurn(
                run=choice.system.label,
                baseline=baseline.label,
                outcome=choice.outcome,
                number=choice.number,
                of=choice.of,
                measure=measure,
                before=baseline.per_turn[choice.query_id][measure],
                after=choice.system.per_turn[choice.query_id][measure],
                query_id=choice.query_id,
                conversation_id=turn.conversation_id,
                turn_number=turn.turn_number,
                attributes=_short(turn),
                history=turn.history,
                question=turn.question,
                rewrites={name: own[choice.query_id] for name, own in rewrites.items() if choice.query_id in own},
                relevant=tuple(_judged(doc_id, judged, texts, choice) for doc_id in choice.relevant),
                baseline_top=_top(choice.before, judged, texts),
                top=_top(choice.after, judged, texts),
            )
        )
    return changed


@dataclass(frozen=True, slots=True)
class _Chosen:
    system: System
    outcome: Outcome
    number: int
    of: int
    query_id: str
    relevant: Sequence[str]
    before: Sequence[str]
    after: Sequence[str]


def _short(turn: Turn) -> dict[str, str]:
    # What a user stated of himself (ptkb) is pages long.
    return {key: value for key, value in turn.attributes.items() if len(value) <= 60}


def _judged(doc_id: str, judged: Mapping[str, int], texts: Mapping[str, Passage], choice: _Chosen) -> Judged:
    passage = texts.get(doc_id, Passage(doc_id, "", UNKNOWN))
    ranks = [ranking.index(doc_id) + 1 if doc_id in ranking else None for ranking in (choice.before, choice.after)]
    return Judged(doc_id, judged[doc_id], passage.title, passage.text, ranks[0], ranks[1])


def _top(ranking: Sequence[str], judged: Mapping[str, int], texts: Mapping[str, Passage]) -> tuple[Placed, ...]:
    passages = [texts.get(doc_id, Passage(doc_id, "", UNKNOWN)) for doc_id in ranking[:TOP]]
    return tuple(
        Placed(rank, passage.doc_id, judged.get(passage.doc_id), passage.title, passage.text)
        for rank, passage in enumerate(passages, start=1)
    )
