"""Counts that were published about corpora, to set beside an import's own: a file that was cut off is noticed by them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["differences", "official_part", "published_counts", "year_part"]

TOPIOCQA_PASSAGES: Final = 25_700_592
QRECC_PASSAGES: Final = 54_573_064
IKAT_PASSAGES: Final = 116_838_987

# corpus -> part -> name of the count -> count; "judged" are turns with judgements.
COUNTS: Final[Mapping[str, Mapping[str, Mapping[str, int]]]] = {
    "topiocqa": {
        "train": {"turns": 45_450, "conversations": 3_509, "passages": TOPIOCQA_PASSAGES},
        "dev": {"turns": 2_514, "conversations": 205, "passages": TOPIOCQA_PASSAGES},
    },
    "qrecc": {
        "train": {"turns": 63_501, "judged": 29_596, "passages": QRECC_PASSAGES},
        "test": {"passages": QRECC_PASSAGES},
    },
    "cast": {
        "2019-train": {"turns": 269, "conversations": 30, "judged": 120},
        "2019": {"turns": 479, "conversations": 50, "judged": 173},
        "2020": {"turns": 216, "conversations": 25, "judged": 208},
        "2021": {"turns": 239, "conversations": 26, "judged": 158},
        "2022": {"turns": 205, "conversations": 18},
    },
    "ikat": {
        "2023": {"turns": 332, "conversations": 25, "passages": IKAT_PASSAGES},
        "2023-train": {"turns": 95, "conversations": 11, "passages": IKAT_PASSAGES},
        "2024": {"turns": 218, "conversations": 17, "passages": IKAT_PASSAGES},
        "2025": {"turns": 188, "conversations": 17, "passages": IKAT_PASSAGES},
    },
    "mtrag": {"clapnq": {"passages": 183_408}, "fiqa": {"passages": 49_607}, "govt": {"passages": 72_422}}
    | {"cloud": {"passages": 61_022}},
}


def published_counts(corpus: str, part: str | None) -> dict[str, int]:
    """Published counts of a part of a corpus, by name; empty where none were published."""
    known = COUNTS.get(corpus, {})
    return dict(known[part]) if part is not None and part in known else {}


def official_part(corpus: str, path: Path) -> str | None:
    """The part of a corpus that a topics file is by its official name; None where the name says nothing.

    TopiOCQA's form is used for other corpora too, so that a file called dev.json alone is not taken for its dev.
    """
    name = path.name.lower()
    parts = COUNTS.get(corpus, {})
    if corpus == "topiocqa":
        folders = {parent.name for parent in path.parents}
        official = name.startswith("topiocqa_") or (
            name in ("train.json", "dev.json") and bool(folders & {"all_history", "original", "rewrites_t5_qrecc"})
        )
        return next((part for part in parts if official and part in name), None)
    return next((part for part in parts if part in name), None)


def year_part(year: int, topics: Path) -> str:
    """The part of a track's year that a topics file is: its name says so where it is the training part."""
    return f"{year}-train" if "train" in topics.name.lower() else str(year)


def differences(published: Mapping[str, int], counted: Mapping[str, int]) -> list[str]:
    """One sentence for each published count that an import does not have."""
    return [
        f"{counted[name]:,} {name}, published are {count:,}: another edition, a part of it, or a file that was cut off?"
        for name, count in published.items()
        if name in counted and counted[name] != count
    ]
