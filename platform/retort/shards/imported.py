"""Stage: rankings that others made -> ``rankings/<teacher>/<split>/``, as training shards read them.

A ranking without a rewrite has no vector to score a passage with that it does not hold: a positive outside it gets the
ranking's lowest score, an upper bound, and is counted. doc_ids become rows in blocks, with one pass over the collection's
ids each, so that the ids of 25 million passages are never in a dictionary.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retort.config import checked_name
from retort.corpora.collection import passage_rows, read_doc_ids
from retort.corpora.turns import read_judgements, read_turns, relevance_threshold
from retort.errors import DataError, WorkspaceError
from retort.formats.disco import RankedTurn, read_disco, read_trec
from retort.identity import file_digest
from retort.progress import Progress
from retort.records import RANKING_SCHEMA
from retort.shards.positives import positives_of
from retort.shards.rankings import CHUNK_TURNS, chunk_file
from retort.sparse.vectors import Float32, Int32
from retort.storage import Folder, Workspace

__all__ = ["RankingCounts", "add_rankings", "imported_rankings", "teacher_source"]

STAGE: Final = "imported rankings"
VERSION: Final = 1
BLOCK_PASSAGES: Final = 1_000_000
Format = Literal["trec", "disco"]


@dataclass(frozen=True)
class RankingCounts:
    """What was written, or was there already.

    Attributes:
        ranked: Turns with a ranking.
        turns: Turns of the split.
        passages: Passages of all rankings.
        unknown: Passages that the collection lacks, left out.
        positives: Judged positives of the ranked turns.
        positives_ranked: How many of them the rankings hold; few, where rows or ids are shifted.
        skipped: The same rankings were there already.
    """

    ranked: int
    turns: int
    passages: int
    unknown: int
    positives: int
    positives_ranked: int
    skipped: bool = False


def imported_rankings(workspace: Workspace, teacher: str, split: str) -> Folder | None:
    """A teacher's rankings of a split that came from elsewhere, or None.

    Raises:
        WorkspaceError: If the teacher has rewrites of it too: which of the two is meant?
    """
    folder = workspace.folder(f"rankings/{teacher}/{split}")
    if folder.record() is None:
        return None
    if workspace.folder(f"rewrites/{teacher}/{split}").record() is not None:
        raise WorkspaceError(
            f"{teacher} has both rewrites and imported rankings of {split!r}; name one of them otherwise: remove "
            f"{folder.url()} and add it as another teacher"
        )
    return folder


def teacher_source(workspace: Workspace, teacher: str, split: str) -> str:
    """Name of the stage that a teacher's scores of a split come from: its rewrites, or its imported rankings."""
    folder = imported_rankings(workspace, teacher, split)
    return f"rewrites/{teacher}/{split}" if folder is None else folder.name


@dataclass
class _Block:
    """Turns whose doc_ids are not rows yet."""

    turns: list[tuple[int, RankedTurn]] = field(default_factory=list)
    passages: int = 0


class _Rows:
    """doc_ids -> rows of the collection."""

    def __init__(self, workspace: Workspace, file: Path, allow_missing: bool) -> None:
        self._doc_ids = read_doc_ids(workspace)
        self._file = file
        self._allow_missing = allow_missing
        self.unknown = 0

    def rankings(self, block: _Block) -> Iterable[tuple[int, Int32, Float32]]:
        """Place of the turn, rows and scores, best first, for each turn of a block."""
        wanted = pa.array(
            [doc_id for _, turn in block.turns for doc_id in turn.doc_ids], pa.string()
        ).dictionary_encode()
        found = pc.index_in(self._doc_ids, value_set=wanted.dictionary)
        places = found.drop_null().to_numpy()
        rows = np.full(len(wanted.dictionary), -1, dtype=np.int32)
        rows[places] = np.flatnonzero(pc.is_valid(found).to_numpy())
        rows = rows[wanted.indices.to_numpy()]
        first = 0
        for place, turn in block.turns:
            own = rows[first : first + len(turn.doc_ids)]
            first += len(turn.doc_ids)
            missing = np.flatnonzero(own < 0)
            if len(missing) and not self._allow_missing:
                raise DataError(
                    f"the collection has no passage {turn.doc_ids[missing[0]]!r}; import the collection that the ranking is "
                    "of, or leave such passages out with --allow-missing",
                    path=self._file,
                    line=turn.lines[missing[0]],
                )
            self.unknown += len(missing)
            scores = np.asarray(turn.scores, dtype=np.float32)[own >= 0]
            own = own[own >= 0]
            # Stable: equal scores keep the file's order, which is the only one that is known of them.
            order = np.argsort(-scores, kind="stable")
            yield place, own[order], scores[order]


def add_rankings(
    workspace: Workspace,
    file: Path,
    *,
    teacher: str,
    split: str,
    format: Format,
    allow_missing: bool = False,
    first_row: int | None = None,
    progress: Progress,
) -> RankingCounts:
    """Add a teacher's rankings of a split from a TREC run or DiSCo's ``run.json``.

    Args:
        workspace: Holds split and collection.
        file: The rankings.
        teacher: The teacher's name in the workspace.
        split: The split that the rankings are of.
        format: The file's.
        allow_missing: Leave out passages that the collection lacks, and accept rankings of a part of the turns by row.
        first_row: Number of the topics file's first row in ``run.json``: 0 or 1; None: as its rows tell.
        progress: Told of every block.

    Raises:
        ConfigError: If teacher or split is no name.
        DataError: If the file is broken, of other turns, or of another collection.
        WorkspaceError: If the split is missing, or the teacher has rewrites or other rankings of it.
    """
    checked_name(teacher, "teacher")
    turns = read_turns(workspace, split)
    if workspace.folder(f"rewrites/{teacher}/{split}").record() is not None:
        raise WorkspaceError(
            f"{teacher} has rewrites of {split!r}, from which its rankings are made; choose another --teacher"
        )
    try:
        digest = file_digest(file)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; check the path", path=file) from error
    folder = workspace.folder(f"rankings/{teacher}/{split}")
    config: dict[str, object] = {"format": format, "allow_missing": allow_missing}
    if first_row is not None:
        config["first_row"] = first_row
    inputs = {"turns": workspace.folder(f"turns/{split}").require("import it first").fingerprint, "file": digest}
    with folder.writing(STAGE, VERSION, config=config, inputs=inputs) as writer:
        if writer.finished is not None:
            known = {
                name: writer.finished.counts[name] for name in RankingCounts.__dataclass_fields__ if name != "skipped"
            }
            return RankingCounts(**known, skipped=True)
        if format == "trec":
            places = {turn.query_id: place for place, turn in enumerate(turns)}
            rankings = _read(workspace, file, read_trec(file), places, split, allow_missing, progress, teacher)
        else:
            rankings = _read(
                workspace, file, read_disco(file), None, split, allow_missing, progress, teacher, len(turns), first_row
            )
        for number, first in enumerate(range(0, len(turns), CHUNK_TURNS)):
            mine = [place for place in range(first, min(first + CHUNK_TURNS, len(turns))) if place in rankings.of]
            columns = [
                [turns[p].query_id for p in mine],
                [rankings.of[p][0] for p in mine],
                [rankings.of[p][1] for p in mine],
            ]
            empty: list[list[float]] = [[] for _ in mine]
            table = pa.table([*columns, empty, empty], schema=RANKING_SCHEMA)
            writer.add(folder.write_table(chunk_file(number, "parquet"), table))
        positives, inside = _positives_inside(workspace, split, rankings.of)
        counts = RankingCounts(
            ranked=len(rankings.of),
            turns=len(turns),
            passages=sum(len(rows) for rows, _ in rankings.of.values()),
            unknown=rankings.unknown,
            positives=positives,
            positives_ranked=inside,
        )
        writer.counts = {
            name: getattr(counts, name) for name in RankingCounts.__dataclass_fields__ if name != "skipped"
        }
        writer.counts["imported"] = True
    return counts


@dataclass
class _Read:
    of: dict[int, tuple[Int32, Float32]]
    unknown: int


def _read(
    workspace: Workspace,
    file: Path,
    ranked: Iterable[RankedTurn],
    places: dict[str, int] | None,
    split: str,
    allow_missing: bool,
    progress: Progress,
    teacher: str,
    turns: int = 0,
    first_row: int | None = None,
) -> _Read:
    """Rankings by key: the turn's place for a TREC run, the file's row for DiSCo's, which is shifted at the end."""
    mapping = _Rows(workspace, file, allow_missing)
    found: dict[int, tuple[Int32, Float32]] = {}
    block = _Block()

    def flush() -> None:
        for place, rows, scores in mapping.rankings(block):
            if len(rows):
                found[place] = (rows, scores)
        block.turns, block.passages = [], 0
        progress(f"rankings {teacher}", len(found), None, "doc_ids become rows")

    keys: list[tuple[int, int]] = []
    for turn in ranked:
        if places is not None and turn.key not in places:
            message = f"the split {split!r} has no turn {turn.key!r}; is the file of another split?"
            raise DataError(message, path=file, line=turn.line)
        place = int(turn.key) if places is None else places[turn.key]
        keys.append((place, turn.line))
        block.turns.append((place, turn))
        block.passages += len(turn.doc_ids)
        if block.passages >= BLOCK_PASSAGES:
            flush()
    flush()
    if places is None:
        shift = _first_row(file, keys, turns, split, allow_missing, first_row)
        found = {place - shift: ranking for place, ranking in found.items()}
    return _Read(found, mapping.unknown)


def _first_row(
    file: Path, keys: list[tuple[int, int]], turns: int, split: str, allow_missing: bool, given: int | None
) -> int:
    """Which number the topics file's first row has; checks that every row is a turn, and every turn a row."""
    rows = [row for row, _ in keys]
    if len(rows) != turns and not allow_missing:
        raise DataError(
            f"ranks {len(rows):,} rows, the split {split!r} has {turns:,} turns: rows can only be matched to the topics file "
            "that they are of; import that file, or accept rankings of a part of its rows with --allow-missing",
            path=file,
        )
    first = given
    if first is None and min(rows) == 0:
        first = 0
    elif first is None and max(rows) == turns:
        first = 1
    if first is None:
        raise DataError(
            f"its rows go from {min(rows)} to {max(rows)}, which does not tell whether the first of {turns:,} is 0 or 1; say "
            "it with --first-row",
            path=file,
        )
    for row, line in keys:
        if not first <= row < first + turns:
            message = f"row {row} is none of the rows {first} to {first + turns - 1} of the split {split!r}"
            raise DataError(f"{message}; is the file of another split?", path=file, line=line)
    return first


def _positives_inside(workspace: Workspace, split: str, rankings: dict[int, tuple[Int32, Float32]]) -> tuple[int, int]:
    judgements = read_judgements(workspace, split)
    relevant = relevance_threshold(workspace, split)
    of_turn = [positives_of(turn, judgements.get(turn.query_id, {}), relevant) for turn in read_turns(workspace, split)]
    rows = passage_rows(workspace, sorted({doc_id for place in rankings for doc_id in of_turn[place]}))
    total = inside = 0
    for place, (ranked, _) in rankings.items():
        wanted = [rows[doc_id] for doc_id in of_turn[place]]
        total += len(wanted)
        inside += int(np.isin(wanted, ranked).sum())
    return total, inside
