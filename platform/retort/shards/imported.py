"""Stage: rankings that others made, written as ``rankings/<teacher>/<split>/``, which training shards read.

A ranking without a rewrite has no vector to score a passage with that it does not hold: a positive outside it gets the
ranking's lowest score, an upper bound, and is counted. doc_ids become rows in blocks, with one pass over the
collection's ids for each block, so that the ids of 25 million passages are never in a dictionary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retort.config import checked_name
from retort.corpora.collection import passage_rows, read_doc_ids
from retort.corpora.turns import read_judgements, read_turns, relevance_threshold
from retort.errors import DataError, WorkspaceError, shown
from retort.formats.disco import read_disco
from retort.formats.lines import digest_of
from retort.formats.trec import RankedTurn, read_trec_turns
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
        passages: Passages of all rankings together.
        unknown: Passages that the collection lacks; they were left out.
        positives: Judged positives of the ranked turns.
        positives_ranked: How many of them the rankings hold; few, where rows or ids are shifted.
        skipped: The same rankings were there already, and nothing was written.
    """

    ranked: int
    turns: int
    passages: int
    unknown: int
    positives: int
    positives_ranked: int
    skipped: bool = False


COUNTED: Final = tuple(
    name for name in RankingCounts.__dataclass_fields__ if name != "skipped"
)  # what the record keeps


def imported_rankings(workspace: Workspace, teacher: str, split: str) -> Folder | None:
    """Find a teacher's rankings of a split that came from elsewhere; None where there are none.

    Raises:
        WorkspaceError: If the teacher has rewrites of the split too, since nobody knows which of the two is meant.
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
    """Name the stage that a teacher's scores of a split come from: its rewrites, or its imported rankings."""
    folder = imported_rankings(workspace, teacher, split)
    return f"rewrites/{teacher}/{split}" if folder is None else folder.name


class _Collector:
    """Rankings of a file by turn, while their doc_ids become rows of the collection, a block of passages at a time.

    Args:
        workspace: Holds the collection.
        file: The rankings, for messages.
        teacher: The teacher's name, for messages.
        allow_missing: Leave out passages that the collection lacks.
        block_passages: How many passages become rows at a time.
        progress: Called after each block.
    """

    def __init__(
        self,
        workspace: Workspace,
        file: Path,
        *,
        teacher: str,
        allow_missing: bool,
        block_passages: int,
        progress: Progress,
    ) -> None:
        self.unknown = 0
        self.rankings: dict[int, tuple[Int32, Float32]] = {}
        self._doc_ids = read_doc_ids(workspace)
        self._file = file
        self._teacher = teacher
        self._allow_missing = allow_missing
        self._block_passages = block_passages
        self._progress = progress
        self._block: dict[int, RankedTurn] = {}
        self._passages = 0

    def add(self, number: int, turn: RankedTurn) -> None:
        """Take a ranking of the turn with this number; a later one of the same turn adds to it."""
        self._passages += len(turn.scores)
        first = self._block.setdefault(number, turn)
        if first is not turn:
            first.extend(turn, self._file)
        if self._passages >= self._block_passages:
            self.flush()

    def flush(self) -> None:
        """Make rows of the doc_ids that are waiting."""
        doc_ids = [doc_id for turn in self._block.values() for doc_id in turn.scores]
        wanted = pa.array(doc_ids, pa.string()).dictionary_encode()
        found = pc.index_in(self._doc_ids, value_set=wanted.dictionary)
        rows = np.full(len(wanted.dictionary), -1, dtype=np.int32)
        rows[found.drop_null().to_numpy()] = np.flatnonzero(pc.is_valid(found).to_numpy())
        rows = rows[wanted.indices.to_numpy()]
        first = 0
        for number, turn in self._block.items():
            self._keep(number, turn, rows[first : first + len(turn.scores)])
            first += len(turn.scores)
        self._block, self._passages = {}, 0
        self._progress(f"rankings {self._teacher}", len(self.rankings), None, "doc_ids become rows")

    def _keep(self, number: int, turn: RankedTurn, rows: Int32) -> None:
        doc_ids = list(turn.scores)
        with np.errstate(over="ignore"):  # beyond float32's range is infinity, which is refused below
            scores = np.fromiter(turn.scores.values(), dtype=np.float32, count=len(rows))
        if len(infinite := np.flatnonzero(~np.isfinite(scores))):
            message = f"the score of {shown(doc_ids[infinite[0]])} must be a finite number that a float32 can hold"
            raise DataError(message, path=self._file, line=turn.lines[infinite[0]])
        missing = np.flatnonzero(rows < 0)
        if len(missing) and not self._allow_missing:
            raise DataError(
                f"the collection has no passage {shown(doc_ids[missing[0]])}; import the collection that the ranking is "
                "of, or leave such passages out with --allow-missing",
                path=self._file,
                line=turn.lines[missing[0]],
            )
        self.unknown += len(missing)
        rows, scores = rows[rows >= 0], scores[rows >= 0]
        if number in self.rankings:
            earlier_rows, earlier_scores = self.rankings[number]
            if len(np.intersect1d(earlier_rows, rows)):
                message = f"{turn.key} ranks a passage here that it ranked before; remove one of the two"
                raise DataError(message, path=self._file, line=turn.line)
            rows, scores = np.concatenate([earlier_rows, rows]), np.concatenate([earlier_scores, scores])
        # Stable: equal scores keep the file's order, which is the only one that is known of them.
        order = np.argsort(-scores, kind="stable")
        if len(rows):
            self.rankings[number] = (rows[order], scores[order])


def add_rankings(
    workspace: Workspace,
    file: Path,
    *,
    teacher: str,
    split: str,
    format: Format,
    allow_missing: bool = False,
    first_row: int | None = None,
    block_passages: int = BLOCK_PASSAGES,
    progress: Progress,
) -> RankingCounts:
    """Add a teacher's rankings of a split from a TREC run or DiSCo's ``run.json``.

    Args:
        workspace: Holds split and collection.
        file: The rankings.
        teacher: The teacher's name in the workspace.
        split: The split that the rankings are of.
        format: The format of the file.
        allow_missing: Leave out passages that the collection lacks, and accept a ``run.json`` that ranks a part of the turns.
        first_row: Number that ``run.json`` gives the topics file's first row, 0 or 1; None: it follows from the rows.
        block_passages: How many doc_ids become rows of the collection at a time.
        progress: Called after each block of passages.

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
    folder = workspace.folder(f"rankings/{teacher}/{split}")
    config: dict[str, object] = {"format": format, "allow_missing": allow_missing}
    if first_row is not None:
        config["first_row"] = first_row
    inputs = {
        "turns": workspace.folder(f"turns/{split}").require("import it first").fingerprint,
        "file": digest_of(file),
    }
    with folder.writing(STAGE, VERSION, config=config, inputs=inputs) as writer:
        if writer.finished is not None:
            return RankingCounts(**{name: writer.finished.counts[name] for name in COUNTED}, skipped=True)
        collector = _Collector(
            workspace,
            file,
            teacher=teacher,
            allow_missing=allow_missing,
            block_passages=block_passages,
            progress=progress,
        )
        if format == "trec":
            shift = 0
            numbers = {turn.query_id: number for number, turn in enumerate(turns)}
            for ranked in read_trec_turns(file):
                if ranked.key not in numbers:
                    message = f"the split {split!r} has no turn {ranked.key!r}; is the file of another split?"
                    raise DataError(message, path=file, line=ranked.line)
                collector.add(numbers[ranked.key], ranked)
        else:
            lines: dict[int, int] = {}
            for ranked in read_disco(file):
                lines[int(ranked.key)] = ranked.line
                collector.add(int(ranked.key), ranked)
            shift = _first_row(file, lines, len(turns), split, allow_missing, first_row)
        collector.flush()
        rankings = {number - shift: ranking for number, ranking in collector.rankings.items()}
        for number, first in enumerate(range(0, len(turns), CHUNK_TURNS)):
            mine = [turn for turn in range(first, min(first + CHUNK_TURNS, len(turns))) if turn in rankings]
            columns = [
                [turns[turn].query_id for turn in mine],
                [rankings[turn][0] for turn in mine],
                [rankings[turn][1] for turn in mine],
            ]
            empty: list[list[float]] = [[] for _ in mine]
            table = pa.table([*columns, empty, empty], schema=RANKING_SCHEMA)
            writer.add(folder.write_table(chunk_file(number, "parquet"), table))
        positives, inside = _positives_inside(workspace, split, rankings)
        counts = RankingCounts(
            ranked=len(rankings),
            turns=len(turns),
            passages=sum(len(rows) for rows, _ in rankings.values()),
            unknown=collector.unknown,
            positives=positives,
            positives_ranked=inside,
        )
        writer.counts = {name: getattr(counts, name) for name in COUNTED} | {"imported": True}
    return counts


def _first_row(
    file: Path, lines: Mapping[int, int], turns: int, split: str, allow_missing: bool, given: int | None
) -> int:
    """Find which number the topics file's first row has; check that every row is a turn, and every turn a row."""
    if len(lines) != turns and not allow_missing:
        raise DataError(
            f"ranks {len(lines):,} rows, the split {split!r} has {turns:,} turns: rows can only be matched to the topics "
            "file that they are of; import that file, or accept rankings of a part of its rows with --allow-missing",
            path=file,
        )
    first = given
    if first is None and min(lines) == 0:
        first = 0
    elif first is None and max(lines) == turns:
        first = 1
    if first is None:
        raise DataError(
            f"its rows go from {min(lines)} to {max(lines)}, which does not tell whether the first of {turns:,} is 0 or 1; say "
            "it with --first-row",
            path=file,
        )
    for row, line in lines.items():
        if not first <= row < first + turns:
            message = f"row {row} is none of the rows {first} to {first + turns - 1} of the split {split!r}"
            raise DataError(f"{message}; is the file of another split?", path=file, line=line)
    return first


def _positives_inside(workspace: Workspace, split: str, rankings: dict[int, tuple[Int32, Float32]]) -> tuple[int, int]:
    """Count the judged positives of the ranked turns, and those among them that the rankings hold."""
    judgements = read_judgements(workspace, split)
    relevant = relevance_threshold(workspace, split)
    of_turn = [positives_of(turn, judgements.get(turn.query_id, {}), relevant) for turn in read_turns(workspace, split)]
    rows = passage_rows(workspace, sorted({doc_id for turn in rankings for doc_id in of_turn[turn]}))
    total = inside = 0
    for turn, (ranked, _) in rankings.items():
        wanted = [rows[doc_id] for doc_id in of_turn[turn]]
        total += len(wanted)
        inside += int(np.isin(wanted, ranked).sum())
    return total, inside
