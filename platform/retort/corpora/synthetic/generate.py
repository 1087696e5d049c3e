"""A generated conversational corpus, for trying everything out in seconds and without a download.

What is realistic in it: what makes conversational search hard. Questions leave out their subject, use pronouns, return
to an earlier subject ("back to the museum"), follow a name that only the agent's answer gave, compare with something
named for the first time; answers carry names that the next question needs beside names that none will need; names
nearly coincide; and passages repeat the same facts in other words. What is not: the language (templates; few synonyms,
no typing errors), the subjects (forty ways to ask, which training and dev conversations share, as they share the
entities), perfect judgements, and a teacher that never errs. Figures on it compare settings with each other; they say
nothing about other corpora.
"""

from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np

from retort.corpora.collection import import_passages
from retort.corpora.report import ImportReport, shape_of
from retort.corpora.synthetic.text import ASIDES
from retort.corpora.synthetic.world import Entity, World
from retort.corpora.turns import check_split, write_turns
from retort.identity import fingerprint
from retort.records import Judgement, Message, Passage, Rewrite, Turn
from retort.storage import Workspace

Choice = TypeVar("Choice")

__all__ = ["TEACHER", "SyntheticCorpus", "SyntheticImport", "generate", "import_synthetic"]

TEACHER: Final = "synthetic"
VERSION: Final = 1  # bumped when the same settings give another corpus
TURNS: Final = range(3, 10)  # of a conversation
# How a turn goes on, relative to the other ways that are open to it.
MOVES: Final = {"pronoun": 30, "ellipsis": 16, "link": 60, "switch": 12, "return": 16, "compare": 14}
ASIDE_SHARE: Final = 0.6  # of the answers that also name something nobody asked for
_STREAMS: Final = {"train": 10, "dev": 11}


@dataclass(frozen=True, slots=True)
class SyntheticCorpus:
    """The corpus by split; positives are the passages asked for, judgements also their near-duplicates."""

    passages: tuple[Passage, ...]
    turns: dict[str, tuple[Turn, ...]]
    judgements: dict[str, tuple[Judgement, ...]]
    rewrites: dict[str, tuple[Rewrite, ...]]


@dataclass(frozen=True, slots=True)
class SyntheticImport:
    """What was imported, by split, and what the caller still writes: the rewrites, with the inputs that identify them.

    Both splits share one collection: each report counts all of its passages.
    """

    reports: dict[str, ImportReport]
    rewrites: dict[str, tuple[Rewrite, ...]]
    inputs: dict[str, dict[str, str]]


def generate(*, conversations: int, dev_conversations: int, entities: int, seed: int) -> SyntheticCorpus:
    """Generate the corpus: the same settings give the same corpus, and more conversations leave the earlier ones alone.

    Args:
        conversations: Training conversations, of 3 to 9 turns.
        dev_conversations: Conversations of the split dev, about the same entities as the training conversations.
        entities: What they are about, at least 40; each has about 8 passages.
        seed: The seed of every draw.
    """
    world = World(entities, seed)
    turns: dict[str, tuple[Turn, ...]] = {}
    judgements: dict[str, tuple[Judgement, ...]] = {}
    rewrites: dict[str, tuple[Rewrite, ...]] = {}
    for split, count in (("train", conversations), ("dev", dev_conversations)):
        held = []
        for number in range(1, count + 1):
            conversation = _Conversation(
                world, f"{split}-{number}", np.random.default_rng([seed, _STREAMS[split], number])
            )
            conversation.hold()
            held.append(conversation)
        turns[split] = tuple(turn for conversation in held for turn in conversation.turns)
        judgements[split] = tuple(judgement for conversation in held for judgement in conversation.judgements)
        rewrites[split] = tuple(rewrite for conversation in held for rewrite in conversation.rewrites)
    return SyntheticCorpus(tuple(world.passages()), turns, judgements, rewrites)


def import_synthetic(
    workspace: Workspace, *, conversations: int, dev_conversations: int, entities: int, seed: int
) -> SyntheticImport:
    """Generate the corpus into a workspace, as the splits train and dev; the caller writes the rewrites it gets back.

    Raises:
        WorkspaceError: If train or dev are there with other content.
        DataError: If the workspace has passages of another generated collection.
    """
    sizes = {"train": conversations, "dev": dev_conversations}
    world = {"entities": entities, "seed": seed}
    inputs = {
        split: {"synthetic": fingerprint("synthetic", VERSION, config={"conversations": n, **world}, inputs={})}
        for split, n in sizes.items()
    }
    for split in sizes:
        check_split(workspace, split, inputs=inputs[split])
    corpus = generate(conversations=conversations, dev_conversations=dev_conversations, entities=entities, seed=seed)
    counts = import_passages(
        workspace,
        enumerate(corpus.passages, start=1),
        source="synthetic collection",
        digest=fingerprint("synthetic", VERSION, config=world, inputs={}),
        required={},
    )
    reports = {}
    for split, turns in corpus.turns.items():
        judgements = corpus.judgements[split]
        new = write_turns(workspace, split, turns, judgements, inputs=inputs[split])
        reports[split] = ImportReport(
            split=split,
            skipped=counts.skipped and not new,
            conversations=sizes[split],
            turns=len(turns),
            passages_added=counts.added,
            passages_known=counts.known,
            judgements=len(judgements),
            positives_per_turn=len(judgements) / len(turns),
            shape=shape_of(turns, (judgement.query_id for judgement in judgements)),
        )
    return SyntheticImport(reports, corpus.rewrites, inputs)


@dataclass
class _Conversation:
    """One conversation while it goes on."""

    world: World
    name: str
    rng: np.random.Generator
    turns: list[Turn] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    rewrites: list[Rewrite] = field(default_factory=list)
    history: list[Message] = field(default_factory=list)
    asked: dict[int, list[int]] = field(default_factory=dict)  # entity -> aspects, in the order of their first turns

    def hold(self) -> None:
        """Generate its turns."""
        entity = self._entity()
        aspect = self._aspect(entity)
        self._say("first", self._one(entity.aspects[aspect].full), entity, aspect)
        for _ in range(int(self.rng.choice(TURNS)) - 1):
            entity, aspect = self._next(entity, aspect)

    def _next(self, entity: Entity, aspect: int) -> tuple[Entity, int]:
        linked = self._linked(entity, aspect)
        returns = self._returns(entity)
        open_moves = {
            "pronoun": self._is_open(entity),
            "ellipsis": self._is_open(entity),
            "link": linked is not None,
            "switch": True,
            "return": bool(returns),
            "compare": isinstance(entity.aspects[aspect].values, range)
            and self.turns[-1].attributes["move"] != "compare",
        }
        weights = np.array([MOVES[move] * is_open for move, is_open in open_moves.items()], dtype=float)
        move = str(self.rng.choice(list(open_moves), p=weights / weights.sum()))
        if move == "compare":
            self._compare(entity, aspect)
            return entity, aspect
        if move == "link":
            assert linked is not None
            entity = linked
        elif move == "return":
            entity = self.world.entities[self._one(tuple(returns))]
        elif move == "switch":
            entity = self._entity()
        aspect = self._aspect(entity)
        self._say(move, self._question(move, entity, aspect), entity, aspect)
        return entity, aspect

    def _question(self, move: str, entity: Entity, aspect: int) -> str:
        forms = entity.aspects[aspect]
        if move == "ellipsis":
            return self._one(forms.bare)
        if move == "switch":
            return self._one(("", "Something else: ", "Another question. ")) + self._one(forms.full)
        short = self._one(forms.short)
        if move == "return":
            return f"Back to the {entity.kind}: {short[0].lower()}{short[1:]}"
        is_person = entity.kind in ("scientist", "engineer")
        return short if move == "pronoun" or is_person else f"About that {entity.kind}: {short[0].lower()}{short[1:]}"

    def _compare(self, entity: Entity, aspect: int) -> None:
        other = self.world.similar(entity, self.rng)
        noun = entity.aspects[aspect].noun
        forms = (f"How does that compare with {other.name}?", f"Is it more than for {other.name}?")
        rewrite = f"How does the {noun} of {entity.name} compare with the {noun} of {other.name}?"
        answer = f"It is {entity.values[aspect]} here and {other.values[aspect]} for {other.name}."
        passages = [(e.gold(aspect), e.duplicates(aspect)) for e in (entity, other)]
        self._record("compare", self._one(forms), rewrite, answer, passages)

    def _say(self, move: str, question: str, entity: Entity, aspect: int) -> None:
        forms = entity.aspects[aspect]
        self.asked.setdefault(entity.index, []).append(aspect)
        answer = entity.fill(forms.answer, aspect)
        if self.rng.random() < ASIDE_SHARE:
            answer += " " + self._one(ASIDES).format(other=self.world.similar(entity, self.rng).name)
        rewrite = entity.fill(self._one(forms.full), aspect)
        passages = [(entity.gold(aspect), entity.duplicates(aspect))]
        self._record(move, entity.fill(question, aspect), rewrite, answer[0].upper() + answer[1:], passages)

    def _record(
        self, move: str, question: str, rewrite: str, answer: str, passages: list[tuple[str, tuple[str, ...]]]
    ) -> None:
        number = len(self.turns) + 1
        query_id = f"{self.name}_{number}"
        positives = tuple(gold for gold, _ in passages)
        judged = dict.fromkeys([*positives, *(doc_id for _, duplicates in passages for doc_id in duplicates)])
        history = tuple(self.history)
        self.turns.append(Turn(query_id, self.name, number, history, question, answer, positives, {"move": move}))
        self.judgements += [Judgement(query_id, doc_id, 1) for doc_id in judged]
        self.rewrites.append(Rewrite(query_id, rewrite))
        self.history += [Message("user", question), Message("agent", answer)]

    def _entity(self) -> Entity:
        # Small worlds can be exhausted by none of at most 9 turns: there are 40 entities or more.
        while True:
            entity = self.world.entities[self.rng.integers(len(self.world.entities))]
            if entity.index not in self.asked:
                return entity

    def _aspect(self, entity: Entity) -> int:
        asked = self.asked.get(entity.index, ())
        return self._one(tuple(place for place in range(len(entity.aspects)) if place not in asked))

    def _is_open(self, entity: Entity) -> bool:
        return len(self.asked.get(entity.index, ())) < len(entity.aspects)

    def _linked(self, entity: Entity, aspect: int) -> Entity | None:
        # Only straight after the answer that named it: later "she" could be anybody.
        if self.turns[-1].attributes["move"] == "compare" or aspect not in entity.links:
            return None
        linked = self.world.entities[entity.links[aspect]]
        return linked if self._is_open(linked) else None

    def _returns(self, entity: Entity) -> list[int]:
        kinds = [self.world.entities[index].kind for index in self.asked]
        return [
            index
            for index, kind in zip(self.asked, kinds, strict=True)
            if index != entity.index and kinds.count(kind) == 1 and self._is_open(self.world.entities[index])
        ]

    def _one(self, choices: tuple[Choice, ...]) -> Choice:
        return choices[self.rng.integers(len(choices))]
