"""What training and retrieval read: an encoded collection, and a training shard's turns, both memory-mapped."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from retort.records import training_schema
from retort.sparse.objective.sampling import turn_generator
from retort.sparse.tokens import Tokenizer
from retort.sparse.vectors import Float32, Int32, Int64, PartedVectors, SparseVectors
from retort.storage import Folder, Record
from retort.teachers.fusion import fuse

__all__ = ["WEIGHTS_FILE", "Collection", "TrainingTurns", "open_vectors"]

WEIGHTS_FILE = "teacher_weights.json"  # in a training stage that was prepared for learned fusion


def open_vectors(folder: Folder) -> PartedVectors:
    """The vectors of a finished vectors stage, memory-mapped."""
    record = folder.require("prepare it first: retort prepare --help")
    vocabulary = int(record.counts["vocabulary_size"])
    return PartedVectors(
        [
            SparseVectors(
                folder.read_array(name.replace(".values.", ".indptr.")),
                folder.read_array(name.replace(".values.", ".indices.")),
                folder.read_array(name),
                vocabulary,
            )
            for name in record.names(suffix=".values.npy")
        ]
    )


class Collection:
    """An encoded collection, opened: memory-mapped vectors and what belongs to them.

    Attributes:
        vectors: The passages' vectors.
        doc_ids: (N,) Arrow strings, by row.
        tie_places: (N,) order among equal scores, see ``sparse.search``.
        passage_share: (V,) share of passages in which each entry is active; p_d of FLOPS.
        text_hashes: (N,) equal for passages with the same text.
        tokenizer: The tokeniser of passages and queries.
    """

    def __init__(self, folder: Folder) -> None:
        record = folder.require("prepare it first: retort prepare --help")
        self.folder = folder
        self.record: Record = record
        self.vectors = open_vectors(folder)
        self.doc_ids: pa.ChunkedArray = folder.read_table("doc_ids.arrow")["doc_id"]
        self.tie_places = folder.read_array("tie_places.npy")
        self.passage_share = folder.read_array("document_frequency.npy") / int(record.counts["passages"])
        self.text_hashes = folder.read_array("text_hashes.npy")
        self.tokenizer = Tokenizer(folder.local_tree("tokenizer"))


class TrainingTurns:
    """The turns of a training shard, by number; arrays are views of the memory-mapped columns.

    Args:
        folder: A finished training stage.
    """

    def __init__(self, folder: Folder) -> None:
        record = folder.require("prepare it first: retort prepare --help")
        self.record = record
        self.teachers: tuple[str, ...] = tuple(record.config["teachers"])
        schema = training_schema(self.teachers)
        table = folder.read_tables(record.names(suffix=".arrow"), schema)
        self.query_ids: list[str] = table["query_id"].to_pylist()
        self.turn_numbers: Int32 = table["turn_number"].to_numpy()
        # Chunks stay apart: put together, they would be copied out of the mapped files into every worker's own memory.
        self._first_turns = np.cumsum([0, *(len(chunk) for chunk in table["query_id"].chunks)])
        self._lists = {field.name: _list_column(table, field.name) for field in schema if pa.types.is_list(field.type)}
        names = record.names(suffix=WEIGHTS_FILE)
        self.teacher_weights: dict[str, float] | None = folder.read_json(WEIGHTS_FILE)["weights"] if names else None
        self._fused = lru_cache(maxsize=8192)(self._fuse)

    def __len__(self) -> int:
        return len(self.query_ids)

    def _list(self, column: str, turn: int) -> np.ndarray:
        chunk = int(np.searchsorted(self._first_turns, turn, side="right")) - 1
        offsets, values = self._lists[column][chunk]
        position = turn - int(self._first_turns[chunk])
        return values[offsets[position] : offsets[position + 1]]

    @property
    def lengths(self) -> Int64:
        """Input tokens of each turn."""
        return np.concatenate([np.diff(offsets) for offsets, _ in self._lists["input_ids"]]).astype(np.int64)

    def input_ids(self, turn: int) -> Int32:
        """The student's input."""
        return self._list("input_ids", turn)

    def positive_rows(self, turn: int) -> Int32:
        """Judged positives, at least one."""
        return self._list("positive_rows", turn)

    def excluded_rows(self, turn: int) -> Int32:
        """Passages that are never a sample or a negative."""
        return self._list("excluded_rows", turn)

    def ranking(
        self, turn: int, fusion: str = "mean", *, seed: int = 0, epoch: int = 0
    ) -> tuple[Int64, Float32, Float32]:
        """The teachers' fused ranking of a turn.

        Args:
            turn: The turn's number.
            fusion: As ``teacher.fusion`` has it.
            seed: The training's seed; only ``one_per_step`` draws.
            epoch: Zero-based; read for ``one_per_step`` alone.

        Returns:
            Passage rows and scores, best first, and the score of each judged positive.
        """
        teacher = self.drawn_teacher(turn, seed, epoch) if fusion == "one_per_step" else None
        result: tuple[Int64, Float32, Float32] = self._fused(turn, fusion, teacher)
        return result

    def drawn_teacher(self, turn: int, seed: int, epoch: int) -> str:
        """One of the teachers that ranked a turn, all alike; a function of seed, epoch and query_id.

        The generator is not the one that draws positives and samples: those stay what they are under another fusion.
        """
        present = self._teachers_of(turn)
        generator = turn_generator(seed, epoch, f"teacher of {self.query_ids[turn]}")
        return present[int(generator.integers(len(present)))]

    def _fuse(self, turn: int, fusion: str, teacher: str | None) -> tuple[Int64, Float32, Float32]:
        present = self._teachers_of(turn) if teacher is None else [teacher]
        weights = self.teacher_weights
        rows, scores, positives = fuse(
            fusion if teacher is None else "mean",
            [(self._list(f"{t}/passage_rows", turn), self._list(f"{t}/scores", turn)) for t in present],
            self.positive_rows(turn),
            [self._list(f"{t}/positive_scores", turn) for t in present],
            weights=None if weights is None else [weights[t] for t in present],
        )
        return np.asarray(rows, np.int64), np.asarray(scores, np.float32), np.asarray(positives, np.float32)

    def _teachers_of(self, turn: int) -> list[str]:
        """Teachers that ranked a turn."""
        return [teacher for teacher in self.teachers if len(self._list(f"{teacher}/positive_scores", turn))]

    def teachers_without_rewrites(self) -> list[str]:
        """Teachers whose rankings came without the rewrites' vectors, as imported ones do: they score what they ranked alone."""
        columns = {teacher: self._lists[f"{teacher}/rewrite_indices"] for teacher in self.teachers}
        return [teacher for teacher, chunks in columns.items() if not any(len(values) for _, values in chunks)]

    def mean_rewrites(self, turns: Sequence[int], vocabulary_size: int) -> Float32:
        """Mean over the teachers of each turn's rewrite vectors: (turns, V), dense."""
        dense = np.zeros((len(turns), vocabulary_size), dtype=np.float32)
        for position, turn in enumerate(turns):
            teachers = self._teachers_of(turn)
            for teacher in teachers:
                terms, weights = (self._list(f"{teacher}/rewrite_{part}", turn) for part in ("indices", "values"))
                dense[position, terms] += weights / np.float32(len(teachers))
        return dense

    def teacher_scores(self, turn: int, rows: Int64, vectors: PartedVectors) -> Float32:
        """The teachers' scores of any passages, also of those outside their rankings: (rows,), the mean over teachers."""
        if not len(rows):
            return np.zeros(0, dtype=np.float32)
        (rewrite,) = self.mean_rewrites([turn], vectors.vocabulary_size)
        return np.asarray(vectors.take(rows).to_scipy() @ rewrite, dtype=np.float32)

    def rewrite_vectors(self, teacher: str, turns: Sequence[int], vocabulary_size: int) -> SparseVectors:
        """The teacher's own vectors of these turns' rewrites."""
        return SparseVectors.from_rows(
            [(self._list(f"{teacher}/rewrite_indices", t), self._list(f"{teacher}/rewrite_values", t)) for t in turns],
            vocabulary_size,
        )


def _list_column(table: pa.Table, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in table[name].chunks]
