"""A lexical student as a sentence-transformers module: a transformer weighs a query's word pieces, BM25 those of passages.

Written by Retort beside the model. Needs torch, transformers, tokenizers, safetensors and sentence-transformers alone.

Shapes: B texts, T tokens of the longest, H hidden size, V vocabulary entries.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules.input_module import InputModule
from sentence_transformers.util import load_dir_path
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

__all__ = ["LexicalEncoder"]

HEAD, STATISTICS = "head.safetensors", "bm25.safetensors"
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "retort.json")


class LexicalEncoder(InputModule):
    """Queries: ``log(1 + relu(w . h + b))`` of each word piece, the maximum over repetitions. Passages: BM25 impacts.

    ``encode_query`` reads a context: its messages joined by the separator, in the order that ``context_order`` names. It is cut
    at its oldest end; the question has room first. ``encode_document`` reads ``title. text``.

    Args:
        directory: Holds the body, the tokeniser, the head and the collection's document frequencies.
        settings: ``lexical_config.json``.
        model_kwargs: For the body's ``from_pretrained``.
    """

    config_file_name = "lexical_config.json"

    def __init__(
        self, directory: str | Path, settings: dict[str, Any], model_kwargs: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.directory, self.settings = Path(directory), settings
        kind = AutoConfig.from_pretrained(directory).model_type
        unused = {"add_pooling_layer": False} if kind in ("bert", "roberta") else {}
        self.body = AutoModel.from_pretrained(directory, **unused, **(model_kwargs or {}))
        self.head = nn.Linear(self.body.config.hidden_size, 1)
        self.head.load_state_dict(load_file(self.directory / HEAD))
        # Tokenised by its own file: what AutoTokenizer makes of a directory changes with transformers; it decodes.
        self.pieces = tokenizers.Tokenizer.from_file(str(self.directory / "tokenizer.json"))
        self.pieces.no_padding()
        self.pieces.no_truncation()
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.document_frequency: Tensor
        self.special_ids: Tensor
        frequency = load_file(self.directory / STATISTICS)["document_frequency"]
        self.register_buffer("document_frequency", frequency, persistent=False)
        self.register_buffer("special_ids", torch.tensor(settings["special_ids"]), persistent=False)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> "LexicalEncoder":
        """Load from a directory or from the hub."""
        where = {name: kwargs.get(name) for name in ("token", "cache_folder", "revision")}
        where["local_files_only"] = bool(kwargs.get("local_files_only"))
        directory = load_dir_path(model_name_or_path, subfolder=subfolder, **where)
        settings = cls.load_config(model_name_or_path, subfolder=subfolder, **where)
        return cls(directory, settings, kwargs.get("model_kwargs"))

    def preprocess(
        self, inputs: list[str], prompt: str | None = None, task: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Texts -> padded input ids and their mask, (B, T); everything but ``task="document"`` is a query."""
        texts = [f"{prompt or ''}{text}" for text in inputs]
        rows = self._passages(texts) if task == "document" else [self._query(text) for text in texts]
        longest = max(1, *(len(row) for row in rows))
        pad = self.settings["pad_id"]
        return {
            "input_ids": torch.tensor([row + [pad] * (longest - len(row)) for row in rows], dtype=torch.long),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
            "task": task,
        }

    def _passages(self, texts: list[str]) -> list[list[int]]:
        special, longest = set(self.settings["special_ids"]), self.settings["passage_tokens"]
        encodings = self.pieces.encode_batch_fast(texts, add_special_tokens=False)
        return [[i for i in encoding.ids if i not in special][:longest] for encoding in encodings]

    def _message(self, text: str) -> list[int]:
        dropped = set(self.settings["special_ids"]) - {self.settings["unk_id"]}
        return [i for i in self.pieces.encode(text, add_special_tokens=False).ids if i not in dropped]

    def _query(self, text: str) -> list[int]:
        """CLS, the messages with separators between them, SEP."""
        separator, newest_first = self.settings["separator"], self.settings["context_order"] == "newest_first"
        messages = text.split(separator) if separator.strip() else [text]
        if not newest_first:
            messages.reverse()
        between = [self.settings["sep_id"]] if self.settings["separator_is_sep"] else self._message(separator)
        question, *history = (self._message(message) for message in messages)
        room = self.settings["query_tokens"] - 2
        # A text that can't be taken apart is cut like a message of the history: at its oldest end.
        whole = not separator.strip() and not newest_first
        body = [question[max(len(question) - room, 0) :] if whole else question[:room]]
        room -= len(body[0])
        for message in history:
            if room < len(between) + 1:
                break  # a separator alone would say nothing
            if not message:
                continue
            room -= len(between)
            kept = message[:room] if newest_first else message[max(len(message) - room, 0) :]
            room -= len(kept)
            body.append(kept)
        if not newest_first:
            body.reverse()
        ids = [self.settings["cls_id"], *body[0]]
        for part in body[1:]:
            ids += between + part
        return [*ids, self.settings["sep_id"]]

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """``input_ids`` and ``attention_mask`` -> ``sentence_embedding``, (B, V)."""
        ids, mask = features["input_ids"], features["attention_mask"]
        weigh = self._weigh_passages if features.get("task") == "document" else self._weigh_query
        features["sentence_embedding"] = weigh(ids, mask)
        return features

    def _weigh_query(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.body(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, H)
        weights = torch.log1p(torch.relu(self.head(hidden).squeeze(-1).float()))  # (B, T)
        weights = weights.masked_fill((mask == 0) | torch.isin(ids, self.special_ids), 0.0)
        queries = weights.new_zeros(len(ids), len(self.document_frequency)).scatter_reduce(1, ids, weights, "amax")
        threshold, max_terms = self.settings["threshold"], self.settings["max_terms"]
        if self.settings["cost_threshold"] > 0:
            share = self.document_frequency.float() / self.settings["passages"]
            queries = queries.masked_fill(queries <= self.settings["cost_threshold"] * share.to(queries.device), 0.0)
        if threshold > 0:
            queries = queries.masked_fill(queries <= threshold, 0.0)
        if max_terms is not None and max_terms < queries.shape[1]:
            cut = queries.sort(dim=1, descending=True, stable=True).indices[:, max_terms:]
            queries = queries.scatter(1, cut, 0.0)
        return queries

    def _weigh_passages(self, ids: Tensor, mask: Tensor) -> Tensor:
        settings, frequency = self.settings, self.document_frequency.double()
        counts = torch.zeros(len(ids), len(frequency), dtype=torch.float64, device=ids.device)
        counts = counts.scatter_add(1, ids, mask.double())  # (B, V)
        idf = torch.log1p((settings["passages"] - frequency + 0.5) / (frequency + 0.5))
        lengths = counts.sum(dim=1, keepdim=True) / settings["mean_length"]
        k1, b = settings["k1"], settings["b"]
        norm = k1 * (1.0 - b + b * lengths)
        weights = idf * counts * (k1 + 1.0) / (counts + norm)
        return torch.where(counts > 0, weights, 0.0).float()

    def get_embedding_dimension(self) -> int:
        """V."""
        return len(self.document_frequency)

    @property
    def max_seq_length(self) -> int:
        """Budget of a context, special tokens included."""
        return int(self.settings["query_tokens"])

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write what ``load`` reads."""
        target = Path(output_path)
        self.body.save_pretrained(target)
        head = {name: value.contiguous() for name, value in self.head.state_dict().items()}
        save_file(head, target / HEAD)
        save_file({"document_frequency": self.document_frequency.contiguous()}, target / STATISTICS)
        for name in FILES:
            if (self.directory / name).is_file():
                shutil.copyfile(self.directory / name, target / name)
        (target / self.config_file_name).write_text(json.dumps(self.settings, indent=1) + "\n", encoding="utf-8")
