"""A conversation with a student: each question in its context, the passages it finds, and why it found them.

What a query holds is told apart by where it comes from: the question itself, what the student read of the conversation, or
neither (a splade student's expansions). What a passage scored is the sum of its matched terms' products.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retort.corpora.collection import read_passages
from retort.corpora.context import Fitted, context_of, fit_context
from retort.errors import InputError
from retort.evaluation.students import open_run, prepare_run_vectors
from retort.measures.sparsity import per_query_flops
from retort.progress import Progress, silent
from retort.records import Message, Passage, Turn
from retort.shards.index import open_index, prepare_index
from retort.shards.reader import Collection
from retort.sparse.encoders.encoder import encode_ids
from retort.storage import Workspace

__all__ = ["Answer", "Hit", "QueryTerm", "Searcher"]

Source = Literal["question", "context", "expansion"]


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term of the query.

    Attributes:
        token: Its word piece.
        weight: In the query's vector.
        passage_share: Share of the collection's passages that hold it: what it costs.
        source: The question, the context that was read beside it, or neither.
    """

    token: str
    weight: float
    passage_share: float
    source: Source


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        rank: From 1.
        passage: Its text.
        score: Dot product with the query.
        matched: Word piece -> its share of the score, the largest first; they sum to the score.
        title_spans: Begin and end in the passage's title of what matched, in characters, ascending.
        spans: The same in its text.
    """

    rank: int
    passage: Passage
    score: float
    matched: dict[str, float]
    title_spans: tuple[tuple[int, int], ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of one question.

    Attributes:
        question: As asked.
        turn_number: In the conversation, from 1.
        read: What the student read.
        terms: The query's, the heaviest first.
        flops: Multiplications of this query per passage, expected over the collection.
        hits: The passages, best first.
        milliseconds: Tokenising, encoding and search together.
    """

    question: str
    turn_number: int
    read: Fitted
    terms: tuple[QueryTerm, ...]
    flops: float
    hits: tuple[Hit, ...]
    milliseconds: float


class Searcher:
    """A run's student with its collection and index, opened once.

    Args:
        workspace: Holds the run.
        run: Its name, or an unambiguous part of it.
        progress: Called while something is still to be encoded or indexed.
    """

    def __init__(self, workspace: Workspace, run: str, progress: Progress = silent) -> None:
        self.run = open_run(workspace, run)
        vectors = prepare_run_vectors(workspace, self.run, progress)
        self._student = self.run.student  # loaded here: it is not to count as the first answer's time
        self._workspace = workspace
        self._collection = Collection(vectors)
        self._index = open_index(prepare_index(workspace, vectors, progress))

    @property
    def passages(self) -> int:
        """How many are searched."""
        return len(self._collection.vectors)

    def ask(self, question: str, history: Sequence[Message] = (), *, k: int = 10) -> Answer:
        """Search for a question in its conversation.

        Args:
            question: The current one.
            history: What was said before, oldest first.
            k: How many passages.

        Raises:
            InputError: If the question is blank.
        """
        if not question.strip():
            raise InputError("the question is blank: there is nothing to search for")
        started = time.perf_counter()
        number = 1 + sum(message.role == "user" for message in history)
        turn = Turn("asked", "asked", number, tuple(history), question)
        config, tokenizer = self.run.config, self.run.tokenizer
        context = context_of(turn, config.context)
        read = fit_context(tokenizer, context, config.context, max_tokens=config.encoder.query_tokens)
        query = encode_ids(self._student, [read.ids])
        (ranking,) = self._index.search(query, k)
        milliseconds = 1000 * (time.perf_counter() - started)
        weights = dict(zip(query.indices.tolist(), query.values.tolist(), strict=True))
        (asked,) = tokenizer.pieces([question])
        in_question, in_context = set(asked.tolist()), set(read.ids.tolist())
        share = self._collection.passage_share
        terms = tuple(
            QueryTerm(
                tokenizer.token(index),
                weight,
                float(share[index]),
                "question" if index in in_question else "context" if index in in_context else "expansion",
            )
            for index, weight in sorted(weights.items(), key=lambda item: (-item[1], item[0]))
        )
        rows = np.asarray(ranking.rows, dtype=np.int64)
        hits = tuple(
            self._hit(rank, int(row), passage, float(score), weights)
            for rank, (row, passage, score) in enumerate(
                zip(rows, read_passages(self._workspace, rows.tolist()), ranking.scores, strict=True), start=1
            )
        )
        flops = float(per_query_flops(query.indptr, query.indices, share)[0])
        return Answer(question, number, read, terms, flops, hits, milliseconds)

    def _hit(self, rank: int, row: int, passage: Passage, score: float, weights: dict[int, float]) -> Hit:
        vector = self._collection.vectors.take([row])
        products = {
            index: weights[index] * value
            for index, value in zip(vector.indices.tolist(), vector.values.tolist(), strict=True)
            if index in weights
        }
        tokenizer = self.run.tokenizer
        ordered = sorted(products.items(), key=lambda item: (-item[1], item[0]))

        def spans(text: str) -> tuple[tuple[int, int], ...]:
            return _joined([(begin, end) for index, begin, end in tokenizer.spans(text) if index in products])

        return Hit(
            rank,
            passage,
            score,
            {tokenizer.token(index): product for index, product in ordered},
            spans(passage.title),
            spans(passage.text),
        )


def _joined(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spans that touch are one: the pieces of a word."""
    joined: list[tuple[int, int]] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return tuple(joined)
