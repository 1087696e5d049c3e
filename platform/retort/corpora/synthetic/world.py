"""What the generated corpus knows: entities with invented names, their facts, and the passages that state them.

Entities come in groups of eight around one place: a city, a river, a museum and its near-namesake, two people, a
company and a novel. Names are syllables, so that they are rare terms, and are shared inside a group ("Velmar", "New
Velmar Museum of Glass"), so that a name alone does not decide. Every entity has its own random numbers; work is
linear.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from retort.corpora.synthetic.text import ASPECTS, FILLERS, FIRST_NAMES, OVERVIEWS, SUBJECTS, Aspect
from retort.records import Passage

__all__ = ["Entity", "World"]

ROLES: Final = ("city", "river", "museum", "museum", "scientist", "engineer", "company", "novel")
SURNAMES: Final = ("scientist", "engineer")
NAMES_PER_GROUP: Final = 6
REWORDED: Final = 2  # aspects of an entity that a second passage states in other words
_LINKED_NEARBY: Final = 0.6  # share of links that stay in the group
_FIRST: Final = tuple(
    a + b
    for a in ["b", "d", "f", "g", "h", "k", "l", "m", "n", "r", "s", "t", "v", "z"]
    for b in ["a", "e", "i", "o", "u", "or", "el"]
)
_LAST: Final = tuple(
    a + b for a in ["l", "m", "n", "r", "t", "v", "d"] for b in ["ar", "eth", "in", "ow", "usk", "ane", "ol"]
)
_WORKS: Final = ("Works", "Instruments", "Trading House", "Brothers")
_NOUNS: Final = ("Clock", "Orchard", "Ferry", "Winter", "Silence", "Tower", "Garden", "Stair")
_PREFIXES: Final = ("New", "Old", "Little")
# Streams of random numbers, the last three one for each group or entity.
_STEMS, _NAMES, _FACTS, _PASSAGES = range(4)


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing that conversations are about.

    Attributes:
        index: The number of the entity; ``index // 8`` is the number of its group.
        kind: Key of ``ASPECTS``.
        name: Unique.
        values: The value of each aspect, as text: a number, a phrase, or the linked entity's name.
        details: The detail of each aspect.
        links: Index of the linked entity, by aspect.
        reworded: Aspects that have a second passage.
    """

    index: int
    kind: str
    name: str
    values: tuple[str, ...]
    details: tuple[str, ...]
    links: dict[int, int]
    reworded: tuple[int, ...]

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        """The aspects that can be asked about."""
        return ASPECTS[self.kind]

    def fill(self, template: str, aspect: int, **more: str) -> str:
        """A sentence about one of its aspects."""
        subj, obj, poss = {"scientist": ("she", "her", "her"), "engineer": ("he", "him", "his")}.get(
            self.kind, ("it", "it", "its")
        )
        words = {"subj": subj, "subj_obj": obj, "poss": poss, "subj_cap": subj.capitalize(), "kind": self.kind}
        return template.format(name=self.name, v=self.values[aspect], w=self.details[aspect], **words, **more)

    def gold(self, aspect: int) -> str:
        """doc_id of the passage that states this aspect."""
        return f"e{self.index:05d}-{aspect}"

    def duplicates(self, aspect: int) -> tuple[str, ...]:
        """doc_ids of further passages that state it."""
        return (f"e{self.index:05d}-{aspect}b",) if aspect in self.reworded else ()


class World:
    """All entities, and their passages.

    Args:
        entities: How many; at least 40, since fewer would leave nothing to confuse an entity with.
        seed: The seed of every draw.

    Raises:
        ValueError: If there are fewer entities.
    """

    def __init__(self, entities: int, seed: int) -> None:
        if entities < 5 * len(ROLES):
            raise ValueError(f"entities must be at least {5 * len(ROLES)}, got {entities}")
        self.seed = seed
        self.whole_groups = entities // len(ROLES)
        groups = -(-entities // len(ROLES))
        stems = _stems(groups * NAMES_PER_GROUP, np.random.default_rng([seed, _STEMS]))
        names = [
            name
            for group in range(groups)
            for name in _names(group, stems, np.random.default_rng([seed, _NAMES, group]))
        ]
        self.entities = [self._entity(index, names) for index in range(entities)]

    def _entity(self, index: int, names: list[str]) -> Entity:
        rng = np.random.default_rng([self.seed, _FACTS, index])
        kind = ROLES[index % len(ROLES)]
        values, details, links = [], [], {}
        for place, aspect in enumerate(ASPECTS[kind]):
            if isinstance(aspect.values, str):
                links[place] = self._linked(index, aspect.values, rng)
                values.append(names[links[place]])
            else:
                values.append(str(aspect.values[rng.integers(len(aspect.values))]))
            details.append(aspect.details[rng.integers(len(aspect.details))])
        reworded = sorted(rng.permutation(len(values))[:REWORDED].tolist())
        return Entity(index, kind, names[index], tuple(values), tuple(details), links, tuple(reworded))

    def _linked(self, index: int, kind: str, rng: np.random.Generator) -> int:
        group = index // len(ROLES)
        if group >= self.whole_groups or rng.random() >= _LINKED_NEARBY:
            group = int(rng.integers(self.whole_groups))
        return group * len(ROLES) + ROLES.index(kind)

    def similar(self, entity: Entity, rng: np.random.Generator) -> Entity:
        """Another entity of the same kind; the near-namesake of a museum half of the time."""
        if entity.kind == "museum" and rng.random() < 0.5:
            twin = entity.index ^ 1
            if twin < len(self.entities):
                return self.entities[twin]
        role = entity.index % len(ROLES)
        group = int(rng.integers(self.whole_groups - 1))
        own = entity.index // len(ROLES)
        return self.entities[(group + (group >= own)) * len(ROLES) + role]

    def passages(self) -> Iterator[Passage]:
        """Every entity's passages: one an aspect, the reworded ones, and one that answers nothing."""
        for entity in self.entities:
            rng = np.random.default_rng([self.seed, _PASSAGES, entity.index])
            for place, aspect in enumerate(entity.aspects):
                # Which wording comes first differs, so that near-duplicates of two entities are not alike by place.
                first = int(rng.integers(2))
                ids = (entity.gold(place), *entity.duplicates(place))
                for doc_id, wording in zip(ids, (first, 1 - first), strict=False):
                    text = entity.fill(aspect.passages[wording], place)
                    yield Passage(doc_id, entity.name, " ".join((_capitalised(text), *self._filler(entity, rng))))
            other, another = self.similar(entity, rng), self._any(rng)
            overview = OVERVIEWS[rng.integers(len(OVERVIEWS))]
            text = entity.fill(overview, 0, other=other.name, another=another.name)
            yield Passage(f"e{entity.index:05d}-o", entity.name, text)

    def _filler(self, entity: Entity, rng: np.random.Generator) -> Iterator[str]:
        for place in rng.permutation(len(FILLERS))[: rng.integers(1, 4)]:
            other = self.similar(entity, rng) if rng.random() < 0.5 else self._any(rng)
            yield FILLERS[place].format(other=other.name, year=rng.integers(1890, 2015))

    def _any(self, rng: np.random.Generator) -> Entity:
        return self.entities[rng.integers(len(self.entities))]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _stems(count: int, rng: np.random.Generator) -> list[str]:
    # A number in mixed radix, its digits being syllables: unique without remembering what was drawn.
    middle = 0
    while len(_FIRST) * len(_LAST) * len(_FIRST) ** middle < 4 * count:
        middle += 1
    space = len(_FIRST) * len(_LAST) * len(_FIRST) ** middle
    # 2 * 3 * 7 * 7 * 7... have no factor in common with a step that is 1 modulo 42: every number is met once.
    step, start = 42 * int(rng.integers(space // 84, space // 42)) + 1, int(rng.integers(space))
    stems = []
    for number in ((start + step * i) % space for i in range(count)):
        number, last = divmod(number, len(_LAST))
        syllables = [_LAST[last]]
        for _ in range(middle + 1):
            number, digit = divmod(number, len(_FIRST))
            syllables.append(_FIRST[digit])
        stems.append("".join(reversed(syllables)).capitalize())
    return stems


def _names(group: int, stems: list[str], rng: np.random.Generator) -> tuple[str, ...]:
    # In the order of ROLES; the two people share their surname half of the time.
    place, river, first_surname, second_surname, company, novel = stems[
        group * NAMES_PER_GROUP : (group + 1) * NAMES_PER_GROUP
    ]
    museum = f"{place} Museum of {SUBJECTS[rng.integers(len(SUBJECTS))]}"
    second_surname = first_surname if rng.random() < 0.5 else second_surname
    given = [FIRST_NAMES[kind][rng.integers(len(FIRST_NAMES[kind]))] for kind in SURNAMES]
    return (
        place,
        f"{river} River",
        museum,
        f"{_PREFIXES[rng.integers(len(_PREFIXES))]} {museum}",
        f"{given[0]} {first_surname}",
        f"{given[1]} {second_surname}",
        f"{company} {_WORKS[rng.integers(len(_WORKS))]}",
        f"The {_NOUNS[rng.integers(len(_NOUNS))]} of {novel}",
    )
