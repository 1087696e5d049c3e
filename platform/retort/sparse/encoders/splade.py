"""The SPLADE encoder: a masked language model with max pooling, for frozen passages and for trained queries.

Any masked LM of transformers will do. Its last projection is taken out and applied by ``pooling.splade_max``, which never
holds the (tokens, V) logits; a model whose logits are not exactly that projection is refused when it is loaded.

Shapes: B texts, T tokens of all of them packed one after the other, H hidden size, V vocabulary entries.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import BertForMaskedLM, BertModel, PreTrainedModel

from retort.errors import ConfigError
from retort.sparse.encoders.lexical import TINY_SEED, tiny_body_config
from retort.sparse.encoders.packing import prepare_body, read_packed
from retort.sparse.encoders.pooling import splade_max
from retort.sparse.objective.regularizers import Limits

__all__ = ["SpladeEncoder", "masked_lm_over_body", "tiny_masked_lm"]


class SpladeEncoder(nn.Module):
    """``log(1 + relu(max_t logit_t))`` over the text's tokens, special tokens included, as SPLADE has it.

    Args:
        masked_lm: A transformers model whose output embedding is a linear layer.

    Raises:
        ConfigError: If its logits are something else than that layer's output.
    """

    def __init__(self, masked_lm: PreTrainedModel) -> None:
        super().__init__()
        projection = masked_lm.get_output_embeddings()
        if not isinstance(projection, nn.Linear):
            raise ConfigError([f"{type(masked_lm).__name__} has no linear output embedding, so it is no masked LM"])
        self.limits = Limits()
        self.masked_lm = masked_lm
        self.vocabulary_size = int(projection.weight.shape[0])
        self._check_projection()
        prepare_body(masked_lm)

    def _logit_inputs(self, **inputs: Any) -> Tensor:
        projection = self._projection()
        # While the projection passes its input through, "logits" are what it would have been given.
        projection.forward = _identity  # type: ignore[method-assign,assignment]
        try:
            logits: Tensor = self.masked_lm(**inputs).logits
        finally:
            del projection.forward
        return logits

    def _projection(self) -> nn.Linear:
        return cast(nn.Linear, self.masked_lm.get_output_embeddings())

    @torch.no_grad()
    def _check_projection(self) -> None:
        ids = torch.arange(4, device=self.masked_lm.device).unsqueeze(0) % self.vocabulary_size
        mask = torch.ones_like(ids)
        was_training = self.masked_lm.training
        self.masked_lm.eval()
        inputs = self._logit_inputs(input_ids=ids, attention_mask=mask)
        expected = self.masked_lm(input_ids=ids, attention_mask=mask).logits
        self.masked_lm.train(was_training)
        if not torch.allclose(self._projection()(inputs), expected, atol=1e-4, rtol=1e-4):
            raise ConfigError([f"{type(self.masked_lm).__name__} changes its logits after the output embedding"])

    def forward(self, input_ids: Tensor, lengths: tuple[int, ...], scan: torch.dtype | None = None) -> Tensor:
        """(T,) packed input ids and the texts' lengths -> (B, V) weights, float32; ``scan`` as in ``splade_max``."""
        hidden = read_packed(self._logit_inputs, self.masked_lm.config, input_ids, lengths)  # (T, H)
        projection = self._projection()
        bias = projection.bias
        if bias is None:
            bias = projection.weight.new_zeros(self.vocabulary_size)
        return self.limits.apply(splade_max(hidden, projection.weight, bias, lengths, scan=scan))


def _identity(inputs: Tensor) -> Tensor:
    return inputs


def masked_lm_over_body(body: BertModel, *, bias: float) -> BertForMaskedLM:
    """A masked LM from a BERT body that has no head: its projection is tied to the word embeddings.

    The head's transform is the identity (before its GELU and layer normalisation). ``bias`` is put on every logit, so that
    only clear winners survive the ReLU: an untrained projection would leave half of the vocabulary active.
    """
    model = BertForMaskedLM(body.config)
    model.bert.embeddings.load_state_dict(body.embeddings.state_dict())
    model.bert.encoder.load_state_dict(body.encoder.state_dict())
    transform = model.cls.predictions.transform
    with torch.no_grad():
        transform.dense.weight.copy_(torch.eye(body.config.hidden_size))
        transform.dense.bias.zero_()
        model.cls.predictions.bias.fill_(bias)
    model.tie_weights()
    return model


def tiny_masked_lm(vocabulary_size: int, *, hidden_size: int, layers: int | None, max_tokens: int) -> BertForMaskedLM:
    """A self-made masked LM whose untrained logits favour the text's own words, the same every time.

    Its word embeddings have unit variance, so that a token's own logit is about ``hidden_size`` and another word's about its
    square root; the bias cuts between them.
    """
    config = tiny_body_config(vocabulary_size, hidden_size=hidden_size, layers=layers, max_tokens=max_tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TINY_SEED)
        body = BertModel(config, add_pooling_layer=False)
        nn.init.normal_(body.embeddings.word_embeddings.weight, std=1.0)
        return masked_lm_over_body(body, bias=-3.0 * hidden_size**0.5)
