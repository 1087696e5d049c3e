"""Hard limits on sparse query vectors, as a sentence-transformers module: at most so many terms, none below a threshold.

Written by Retort beside the model whose training kept them. Needs torch and sentence-transformers alone.

Shapes: B queries, V vocabulary entries.
"""

from typing import Any

import torch
from sentence_transformers.base.modules.module import Module

__all__ = ["QueryLimits"]


class QueryLimits(Module):
    """Keeps each query's largest entries and cuts those up to a threshold.

    Args:
        max_terms: Entries that are kept, of equal ones the first; None: all.
        threshold: Entries up to it are cut.
        least_weights: (V,), what each entry must exceed, by what it costs; None: nothing.
    """

    config_keys: list[str] = ["max_terms", "threshold", "least_weights"]  # noqa: RUF012 (declared so by the base class)

    def __init__(
        self, max_terms: int | None = None, threshold: float = 0.0, least_weights: list[float] | None = None
    ) -> None:
        super().__init__()
        self.least_weights = least_weights
        least = None if least_weights is None else torch.tensor(least_weights)
        self.register_buffer("least", least, persistent=False)  # moves with the model; the settings keep the list
        self.max_terms = max_terms
        self.threshold = threshold

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Cut ``sentence_embedding``, (B, V) and not negative."""
        queries: torch.Tensor = features["sentence_embedding"]
        if self.least is not None:
            queries = queries.masked_fill(queries <= self.least.to(queries.device), 0.0)
        if self.threshold > 0:
            queries = queries.masked_fill(queries <= self.threshold, 0.0)
        if self.max_terms is not None and self.max_terms < queries.shape[1]:
            order = queries.sort(dim=1, descending=True, stable=True).indices[:, self.max_terms :]
            queries = queries.scatter(1, order, 0.0)
        features["sentence_embedding"] = queries
        return features

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write the settings."""
        self.save_config(output_path)
