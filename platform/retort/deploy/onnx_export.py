"""The query encoder as ONNX: padded input ids and their mask -> the same query vectors, hard limits included.

Shapes: B texts, T tokens of the longest, V vocabulary entries.
"""

import importlib.util
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from retort.errors import ConfigError
from retort.sparse.encoders.encoder import QueryEncoder, load_student
from retort.sparse.encoders.lexical import LexicalStudent

__all__ = ["check_onnx", "write_onnx"]

NEEDED = ("onnx", "onnxscript")
OPSET = 18  # the first with a maximum in ScatterElements


def check_onnx() -> None:
    """Find out whether a model can be exported.

    Raises:
        ConfigError: If the packages of the extra are missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            [f"--onnx needs {' and '.join(missing)}, which are not installed: pip install 'retort[onnx]'"]
        )


class _PaddedQueries(nn.Module):
    """A student over a padded batch, written with operations that ONNX has."""

    def __init__(self, student: QueryEncoder) -> None:
        super().__init__()
        body = student.body if isinstance(student, LexicalStudent) else student.masked_lm
        body.set_attn_implementation("eager")
        self.student = student
        counted = torch.ones(student.vocabulary_size)
        if isinstance(student, LexicalStudent):
            counted[cast(Tensor, student.special_ids)] = 0.0
        self.register_buffer("counted", counted, persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) each -> (B, V)."""
        student = self.student
        if isinstance(student, LexicalStudent):
            hidden = student.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weights = torch.log1p(torch.relu(student.head(hidden).squeeze(-1)))  # (B, T)
            weights = weights * attention_mask * cast(Tensor, self.counted)[input_ids]
            empty = weights.new_zeros(input_ids.shape[0], student.vocabulary_size)
            return self._limited(empty.scatter_reduce(1, input_ids, weights, reduce="amax"))
        logits = student.masked_lm(input_ids=input_ids, attention_mask=attention_mask).logits  # (B, T, V)
        weights = torch.log1p(torch.relu(logits)) * attention_mask.unsqueeze(-1)
        return self._limited(weights.amax(dim=1))

    def _limited(self, queries: Tensor) -> Tensor:
        limits = self.student.limits
        queries = replace(limits, max_terms=None).apply(queries)
        if limits.max_terms is None or limits.max_terms >= self.student.vocabulary_size:
            return queries
        # ONNX has no stable sort; of equal entries its TopK keeps the first, as the stable sort does.
        kept = queries.topk(limits.max_terms, dim=1)
        return torch.zeros_like(queries).scatter(1, kept.indices, kept.values)


def write_onnx(checkpoint: Path, target: Path) -> None:
    """Write a checkpoint's query encoder as one ONNX file.

    Inputs are ``input_ids`` and ``attention_mask``, (B, T) int64; the output is ``vectors``, (B, V) float32.

    Args:
        checkpoint: A directory that ``save_student`` wrote.
        target: The file.

    Raises:
        ConfigError: If the packages of the extra are missing.
    """
    check_onnx()
    student, _ = load_student(checkpoint)
    example = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 0], [4, 3, 2, 1]])
    batch, tokens = torch.export.Dim("batch", max=4096), torch.export.Dim("tokens", max=8192)
    log = logging.getLogger("torch.onnx")
    before = log.level
    with warnings.catch_warnings():
        # The exporter warns of its own dependencies; whether the file is right is seen by running it.
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                _PaddedQueries(student).eval(),
                (example, (example > 0).long()),
                str(target),
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=OPSET,
                input_names=["input_ids", "attention_mask"],
                output_names=["vectors"],
                dynamic_shapes=({0: batch, 1: tokens}, {0: batch, 1: tokens}),
            )
        finally:
            log.setLevel(before)
