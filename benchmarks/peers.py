"""What people train and encode with today, as steps that can be timed beside Retort's own.

- ``disco_step``: what the published DiSCo trainer computes in a step, written anew from its description (arXiv:2410.14609):
  the 1 + n passages of each query are encoded by the frozen encoder at every step, padded, with the plain SPLADE head.
- ``router_step``: sentence-transformers' own modules, a Router with a frozen document side under SpladeLoss.
- ``plain_encoder``: sentence-transformers' ``SparseEncoder``.

Shapes: B turns, 1 + n passages of each, L tokens, V vocabulary entries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.losses import SparseDistillKLDivLoss, SpladeLoss
from torch import Tensor
from transformers import AutoModelForMaskedLM, AutoTokenizer


@dataclass(frozen=True)
class TextBatch:
    """One step's data as texts: B contexts, B lists of 1 + n passages, (B, 1 + n) teacher scores."""

    contexts: list[str]
    passages: list[list[str]]
    teacher_scores: Tensor


def _plain_splade(model: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits  # (B, L, V)
    weights = torch.log(1 + torch.relu(logits)) * inputs["attention_mask"].unsqueeze(-1)
    return weights.max(dim=1).values


def disco_step(
    directory: Path, batches: Sequence[TextBatch], *, max_tokens: int, autocast: torch.dtype | None = None
) -> Callable[[], None]:
    """A step on the next batch with every call."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    student = AutoModelForMaskedLM.from_pretrained(directory).train()
    teacher = AutoModelForMaskedLM.from_pretrained(directory).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(student.parameters(), lr=2e-5)
    waiting = list(batches)

    def tokens(texts: list[str]) -> dict[str, Tensor]:
        settings = {"padding": True, "truncation": True, "max_length": max_tokens, "return_tensors": "pt"}
        return dict(tokenizer(texts, **settings))

    def step() -> None:
        batch = waiting.pop(0)
        waiting.append(batch)
        with torch.autocast("cpu", dtype=autocast or torch.bfloat16, enabled=autocast is not None):
            queries = _plain_splade(student, tokens(batch.contexts)).float()  # (B, V)
            with torch.no_grad():
                passages = _plain_splade(teacher, tokens([text for texts in batch.passages for text in texts])).float()
        scores = torch.einsum("bv,bkv->bk", queries, passages.view(len(queries), -1, passages.shape[-1]))
        loss = F.kl_div(
            F.log_softmax(scores, dim=1),
            F.log_softmax(batch.teacher_scores, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _splade_modules(directory: Path, max_tokens: int) -> list[torch.nn.Module]:
    model = SparseEncoder(str(directory), device="cpu")
    model.max_seq_length = max_tokens
    return list(model.children())


def router_step(directory: Path, batches: Sequence[TextBatch], *, max_tokens: int) -> Callable[[], None]:
    """A step of sentence-transformers with a frozen document side, on the next batch with every call."""
    from sentence_transformers.base.modules.router import Router

    document = _splade_modules(directory, max_tokens)
    for module in document:
        module.requires_grad_(False)
    router = Router.for_query_document(query_modules=_splade_modules(directory, max_tokens), document_modules=document)
    model = SparseEncoder(modules=[router], similarity_fn_name="dot", device="cpu").train()
    loss = SpladeLoss(
        model, SparseDistillKLDivLoss(model), document_regularizer_weight=0.0, query_regularizer_weight=0.0
    )
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-5)
    waiting = list(batches)

    def step() -> None:
        batch = waiting.pop(0)
        waiting.append(batch)
        columns = [list(column) for column in zip(*batch.passages, strict=True)]
        features = [model.preprocess(batch.contexts, task="query")]
        features += [model.preprocess(column, task="document") for column in columns]
        values = loss(features, batch.teacher_scores)
        sum(values.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def plain_encoder(directory: Path, texts: list[str], *, max_tokens: int, batch_size: int) -> Callable[[], object]:
    """Encoding of all texts, as ``SparseEncoder.encode`` does it by default."""
    model = SparseEncoder(str(directory), device="cpu")
    model.max_seq_length = max_tokens
    return lambda: model.encode(texts, batch_size=batch_size, show_progress_bar=False)
