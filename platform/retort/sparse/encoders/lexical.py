"""The lexical student: a transformer that weighs the context's own word pieces.

Its passages are BM25 impacts (``bm25.py``), so a turn is scored by how much weight each of its words deserves: after
uniCOIL (arXiv:2106.14807), with SPLADE's saturation and maximum over repetitions. Untrained, every word weighs the same
and the student is a bag of words, which is why it trains in seconds.

Shapes: B turns, T tokens of all of them packed one after the other, H hidden size, V vocabulary entries.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedModel

from retort.sparse.encoders.packing import prepare_body, read_packed
from retort.sparse.objective.regularizers import Limits

__all__ = ["LexicalStudent", "tiny_body_config"]

TINY_SEED = 0  # the tiny model is one model, like a downloaded one; training.seed is about training


def tiny_body_config(vocabulary_size: int, *, hidden_size: int, layers: int | None, max_tokens: int) -> BertConfig:
    """Configuration of the embedded default: a BERT of two layers and four heads unless told otherwise."""
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=hidden_size,
        num_hidden_layers=2 if layers is None else layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden_size,
        max_position_embeddings=max(512, max_tokens),
    )


class LexicalStudent(nn.Module):
    """Weighs each word piece of a context with ``log(1 + relu(w . h + b))`` and keeps each piece's maximum.

    Args:
        body: Any Hugging Face encoder that yields ``last_hidden_state``.
        special_ids: Word pieces that get no weight.
        vocabulary_size: V, the tokeniser's.
    """

    def __init__(self, body: PreTrainedModel, *, special_ids: list[int], vocabulary_size: int) -> None:
        super().__init__()
        prepare_body(body)
        self.limits = Limits()
        self.body = body
        self.vocabulary_size = vocabulary_size
        self.head = nn.Linear(body.config.hidden_size, 1)
        # A bag of words: every piece weighs log 2 until training says otherwise.
        nn.init.zeros_(self.head.weight)
        nn.init.ones_(self.head.bias)
        self.register_buffer("special_ids", torch.tensor(special_ids, dtype=torch.long), persistent=False)

    @classmethod
    def tiny(
        cls, vocabulary_size: int, special_ids: list[int], *, hidden_size: int, layers: int | None, max_tokens: int
    ) -> "LexicalStudent":
        """The self-made default, with the same initial weights every time."""
        config = tiny_body_config(vocabulary_size, hidden_size=hidden_size, layers=layers, max_tokens=max_tokens)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(TINY_SEED)
            body = BertModel(config, add_pooling_layer=False)
            return cls(body, special_ids=special_ids, vocabulary_size=vocabulary_size)

    def forward(self, input_ids: Tensor, lengths: tuple[int, ...]) -> Tensor:
        """(T,) packed input ids and the turns' lengths -> (B, V) weights, float32."""
        hidden = read_packed(self._hidden_states, self.body.config, input_ids, lengths)  # (T, H)
        weights = torch.log1p(torch.relu(self.head(hidden).squeeze(-1).float()))  # (T,)
        weights = torch.where(torch.isin(input_ids, cast(Tensor, self.special_ids)), 0.0, weights)
        turn = torch.repeat_interleave(torch.tensor(lengths, device=input_ids.device))  # (T,)
        empty = weights.new_zeros(len(lengths) * self.vocabulary_size)
        places = turn * self.vocabulary_size + input_ids
        queries = empty.scatter_reduce(0, places, weights, reduce="amax").view(len(lengths), self.vocabulary_size)
        return self.limits.apply(queries)

    def _hidden_states(self, **inputs: Any) -> Tensor:
        return cast(Tensor, self.body(**inputs).last_hidden_state)
