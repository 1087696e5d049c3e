"""Text -> word pieces, and a turn's segments -> the student's input ids.

Only the ``tokenizers`` library is needed, so that workers which index a collection start fast. A tokeniser is a directory
as Hugging Face writes it (``tokenizer.json``, ``tokenizer_config.json``). Special tokens that a text spells out
(``[SEP]`` in an utterance) are dropped, never taken for real ones.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import tokenizers

from retort.errors import ConfigError
from retort.sparse.vectors import Int32

__all__ = ["Tokenizer", "build_word_tokenizer"]

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Tokenizer:
    """A fast tokeniser with the ids of its special tokens.

    Args:
        directory: Holds ``tokenizer.json``, and ``tokenizer_config.json`` with the names of the special tokens.

    Raises:
        ConfigError: If there is no fast tokeniser, or it lacks a CLS, SEP or PAD token.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        path = self.directory / "tokenizer.json"
        if not path.is_file():
            raise ConfigError([f"{directory} has no tokenizer.json; save the model's fast tokeniser beside it"])
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.vocabulary_size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        config_path = self.directory / "tokenizer_config.json"
        names = json.loads(config_path.read_text(encoding="utf-8")) if config_path.is_file() else {}
        self.cls_id = self._special(names, "cls_token", ("[CLS]", "<s>"))
        self.sep_id = self._special(names, "sep_token", ("[SEP]", "</s>"))
        self.pad_id = self._special(names, "pad_token", ("[PAD]", "<pad>"))
        unknown = self._tokenizer.token_to_id("[UNK]")
        self.unk_id: int | None = self._tokenizer.token_to_id("<unk>") if unknown is None else unknown
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_ids = np.array(sorted(i for i, token in added.items() if token.special), dtype=np.int32)
        if not len(self.special_ids):
            spelled = {self._tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
            known = {self.cls_id, self.sep_id, self.pad_id} | {index for index in spelled if index is not None}
            self.special_ids = np.array(sorted(known), dtype=np.int32)

    def _special(self, names: dict[str, object], role: str, usual: Sequence[str]) -> int:
        named = names.get(role)
        if isinstance(named, dict):
            named = named.get("content")
        for token in ([named] if isinstance(named, str) else []) + list(usual):
            found = self._tokenizer.token_to_id(token)
            if found is not None:
                return int(found)
        raise ConfigError([f"the tokeniser in {self.directory} has no {role}"])

    def token(self, index: int) -> str:
        """The word piece of a vocabulary entry."""
        return str(self._tokenizer.id_to_token(index))

    def pieces(self, texts: Sequence[str], *, max_tokens: int | None = None, keep_unknown: bool = False) -> list[Int32]:
        """Word pieces of each text, without special tokens, cut after ``max_tokens``.

        The token of unknown words says nothing as a term and is dropped, but a model that reads the text expects it:
        ``keep_unknown``.
        """
        dropped = self.special_ids[self.special_ids != self.unk_id] if keep_unknown else self.special_ids
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        result = []
        for encoding in encodings:
            ids = np.asarray(encoding.ids, dtype=np.int32)
            ids = ids[~np.isin(ids, dropped)]
            result.append(ids if max_tokens is None else ids[:max_tokens])
        return result

    def spans(self, text: str) -> list[tuple[int, int, int]]:
        """Each word piece of a text that is no special token: its id, and where it begins and ends in the text."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        special = set(self.special_ids.tolist())
        return [
            (int(index), int(begin), int(end))
            for index, (begin, end) in zip(encoding.ids, encoding.offsets, strict=True)
            if index not in special
        ]

    def without_special(self, ids: Int32) -> Int32:
        """The word pieces that are no special tokens."""
        return ids[~np.isin(ids, self.special_ids)]

    def context_ids(
        self,
        question: str,
        history: Sequence[str],
        *,
        order: Literal["newest_first", "oldest_first"],
        max_tokens: int,
    ) -> Int32:
        """Input ids of a turn: CLS, the segments joined with SEP, SEP; cut at the *oldest* end.

        The question is never cut, unless it alone exceeds the budget: then at its end.

        Args:
            question: The current question.
            history: Earlier messages, newest first.
            order: Whether the question comes first and the history follows newest first, or everything as it was said.
            max_tokens: Budget, the special tokens included.
        """
        segments = self.pieces([question, *history], keep_unknown=True)
        room = max_tokens - 2
        body = [segments[0][:room]]
        room -= len(body[0])
        separator = np.array([self.sep_id], dtype=np.int32)
        for segment in segments[1:]:
            # A separator alone would say nothing: at least one piece must follow it.
            if room < 2:
                break
            if not len(segment):
                continue
            room -= 1
            # Newest first reads on from the cut message's beginning; as it was said, its end is what touches the rest.
            kept = segment[:room] if order == "newest_first" else segment[max(len(segment) - room, 0) :]
            body.append(kept)
            room -= len(kept)
        if order == "oldest_first":
            body.reverse()
        joined: list[Int32] = [np.array([self.cls_id], dtype=np.int32)]
        for segment in body:
            joined += [segment, separator]
        return np.concatenate(joined)


def build_word_tokenizer(texts: Iterable[str], *, vocabulary_size: int, directory: Path) -> None:
    """Make a tokeniser from texts, without any download: their most frequent words, and characters for the rest.

    Deterministic: words by falling count, then alphabetically. Text is lower-cased and split as BERT does.

    Args:
        texts: What the vocabulary is counted on.
        vocabulary_size: Upper bound, special tokens and characters included.
        directory: Where ``tokenizer.json`` and ``tokenizer_config.json`` are written.
    """
    normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    splitter = tokenizers.pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    for word, count in words.items():
        for character in word:
            letters[character] += count
    # Each takes two entries, at a word's beginning and inside it; half of the vocabulary is left to words.
    frequent = sorted(letters, key=lambda character: (-letters[character], character))
    characters = sorted(frequent[: (vocabulary_size - len(SPECIAL_TOKENS)) // 4])
    vocabulary: dict[str, int] = {}
    for token in [*SPECIAL_TOKENS, *characters, *(f"##{c}" for c in characters)]:
        vocabulary.setdefault(token, len(vocabulary))
    for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        if len(vocabulary) >= vocabulary_size:
            break
        vocabulary.setdefault(word, len(vocabulary))
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = tokenizers.processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "mask_token": "[MASK]",
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
