"""What the encoders read: passages as text and as input ids; and the frozen encoder of self-contained texts.

A rewrite, a question and a context become query vectors here, as the frozen encoder of either family makes them. Passages are
read by ``shards/vectors.py``, which encodes the collection, and by a training that trains their encoder too.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa

from retort.config import EncoderConfig
from retort.corpora.collection import passage_parts
from retort.records import passage_text
from retort.sparse.encoders.bm25 import query_terms
from retort.sparse.tokens import Tokenizer
from retort.sparse.vectors import Int32, Int64, SparseVectors
from retort.storage import Workspace

__all__ = ["PassageTokens", "TextEncoder", "passage_input_ids"]

# Of what a training has read: a row's ids take about 1 kB, a part's texts about 5 MB.
CACHED_ROWS = 262_144
CACHED_PARTS = 64


def passage_input_ids(tokenizer: Tokenizer, text: str, *, max_tokens: int) -> Int32:
    """A passage as the splade family reads it: CLS, its word pieces, SEP; cut at its end after ``max_tokens``."""
    return tokenizer.context_ids(text, [], order="newest_first", max_tokens=max_tokens)


class PassageTokens:
    """Input ids of the workspace's passages by row, tokenised when they are first asked for, and kept.

    Args:
        workspace: Holds the passages.
        tokenizer: The tokeniser of the collection's vectors.
        max_tokens: Special tokens included.
    """

    def __init__(self, workspace: Workspace, tokenizer: Tokenizer, *, max_tokens: int) -> None:
        self._folder = workspace.folder("passages")
        self._parts = passage_parts(workspace)
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._texts = lru_cache(maxsize=CACHED_PARTS)(self._read)
        self._ids = lru_cache(maxsize=CACHED_ROWS)(self._tokenize)

    def _read(self, number: int) -> pa.Table:
        return self._folder.read_table(self._parts[number].name).select(["title", "text"])

    def _tokenize(self, row: int) -> Int32:
        number = bisect_right(self._parts, row, key=lambda part: part.first_row) - 1
        (passage,) = self._texts(number).slice(row - self._parts[number].first_row, 1).to_pylist()
        return passage_input_ids(self._tokenizer, passage_text(**passage), max_tokens=self._max_tokens)

    def input_ids(self, rows: Sequence[int] | Int64) -> list[Int32]:
        """Input ids of each of these rows, in the order asked for."""
        return [self._ids(int(row)) for row in rows]


class TextEncoder:
    """The frozen query encoder: a bag of word pieces (lexical), or the masked LM itself (splade).

    Args:
        config: The family, its model and its budgets.
        tokenizer: The tokeniser of the collection's vectors.
    """

    def __init__(self, config: EncoderConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer
        if config.family == "splade":
            # torch is imported only where a model is run: lexical workers start in a fifth of the time.
            from retort.sparse.encoders.encoder import initial_student

            self.model = initial_student(config, tokenizer).eval()

    def rewrites(self, texts: Sequence[str]) -> SparseVectors:
        """Self-contained texts, cut at ``rewrite_tokens``: (N, V)."""
        ids = [
            self.tokenizer.context_ids(text, [], order="newest_first", max_tokens=self.config.rewrite_tokens)
            for text in texts
        ]
        return self.ids(ids)

    def ids(self, sequences: Sequence[Int32]) -> SparseVectors:
        """Input ids with their special tokens, a rewrite's or a whole context's: (N, V)."""
        if self.config.family == "splade":
            from retort.sparse.encoders.encoder import encode_ids

            return encode_ids(self.model, sequences)
        return query_terms(
            [self.tokenizer.without_special(ids) for ids in sequences],
            self.tokenizer.vocabulary_size,
            counted=self.config.rewrite_terms == "counts",
        )
