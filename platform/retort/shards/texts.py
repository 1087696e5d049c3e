"""Rewrites and other self-contained texts -> query vectors, as the frozen encoder of either family makes them."""

from collections.abc import Sequence

from retort.config import EncoderConfig
from retort.sparse.bm25 import query_terms
from retort.sparse.tokens import Tokenizer
from retort.sparse.vectors import Int32, SparseVectors

__all__ = ["TextEncoder"]


class TextEncoder:
    """The frozen query encoder: a bag of word pieces (lexical), or the masked LM itself (splade).

    Args:
        config: The family, its model and its budgets.
        tokenizer: Of the collection's vectors.
    """

    def __init__(self, config: EncoderConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer
        if config.family == "splade":
            # torch is imported only where a model is run: lexical workers start in a fifth of the time.
            from retort.sparse.encoder import initial_student

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
            from retort.sparse.encoder import encode_ids

            return encode_ids(self.model, sequences)
        return query_terms(
            [self.tokenizer.without_special(ids) for ids in sequences],
            self.tokenizer.vocabulary_size,
            counted=self.config.rewrite_terms == "counts",
        )
