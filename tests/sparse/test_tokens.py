"""Tokenisation: the context's budget against plain list slicing, and the tokeniser's files against transformers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from retort.errors import ConfigError
from retort.sparse.tokens import SPECIAL_TOKENS, Tokenizer, build_word_tokenizer

# "distill" is in no text, so it falls into characters; the blank text has no pieces at all.
WORDS = ("the", "retort", "book", "chemist", "reply", "distill", "?")
UTTERANCES = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


def words(tokenizer, ids):
    return [tokenizer.token(int(index)) for index in ids]


def line(tokenizer, ids):
    return " ".join(words(tokenizer, ids))


def context(tokenizer, question, history, *, order="newest_first", max_tokens=64):
    return tokenizer.context_ids(question, history, order=order, max_tokens=max_tokens)


def test_newest_first_reads_the_question_and_then_back_in_time(tokenizer):
    ids = context(tokenizer, "who wrote it", ["a chemist", "the book"])

    assert line(tokenizer, ids) == "[CLS] who wrote it [SEP] a chemist [SEP] the book [SEP]"
    assert ids.dtype == np.int32


def test_oldest_first_reads_as_it_was_said(tokenizer):
    ids = context(tokenizer, "who wrote it", ["a chemist", "the book"], order="oldest_first")

    assert line(tokenizer, ids) == "[CLS] the book [SEP] a chemist [SEP] who wrote it [SEP]"


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (9, "[CLS] who wrote it [SEP] a chemist [SEP]"),  # one place is left: a separator alone would say nothing
        (10, "[CLS] who wrote it [SEP] a chemist [SEP] the [SEP]"),
        (7, "[CLS] who wrote it [SEP] a [SEP]"),
        (5, "[CLS] who wrote it [SEP]"),
        (4, "[CLS] who wrote [SEP]"),
    ],
)
def test_the_oldest_end_is_cut_and_the_question_last_of_all(tokenizer, max_tokens, expected):
    ids = context(tokenizer, "who wrote it", ["a chemist", "the book"], max_tokens=max_tokens)

    assert line(tokenizer, ids) == expected


def test_oldest_first_keeps_the_end_of_the_message_that_is_cut(tokenizer):
    ids = context(tokenizer, "who wrote it", ["a quick reply"], order="oldest_first", max_tokens=8)

    assert line(tokenizer, ids) == "[CLS] quick reply [SEP] who wrote it [SEP]"


@settings(deadline=None)
@given(
    question=UTTERANCES,
    history=st.lists(UTTERANCES, max_size=4),
    order=st.sampled_from(["newest_first", "oldest_first"]),
    max_tokens=st.integers(4, 30),
)
def test_the_budget_is_list_slicing_of_the_joined_segments(tokenizer, question, history, order, max_tokens):
    room, sep = max_tokens - 2, tokenizer.sep_id
    first, *rest = [ids.tolist() for ids in tokenizer.pieces([question, *history])]
    segments = [first, *(segment for segment in rest if segment)]
    if order == "oldest_first":
        segments.reverse()
    body = segments[0] + [token for segment in segments[1:] for token in (sep, *segment)]
    if order == "newest_first":
        body = body[:room]
        body = body[:-1] if body[-1:] == [sep] else body
    else:
        body = first[:room] if len(first) >= room else body[-room:]
        body = body[1:] if body[:1] == [sep] and len(body) > len(first) else body
    ids = context(tokenizer, question, history, order=order, max_tokens=max_tokens).tolist()

    assert len(ids) <= max_tokens
    assert ids == [tokenizer.cls_id, *body, sep]


def test_special_tokens_that_a_text_spells_out_are_dropped(tokenizer):
    ids = context(tokenizer, "who [SEP] wrote it [CLS]", ["a [MASK] chemist [PAD]", "[SEP]"])

    assert line(tokenizer, ids) == "[CLS] who wrote it [SEP] a chemist [SEP]"


def test_pieces_are_cut_after_their_budget_and_have_no_special_tokens(tokenizer):
    whole, cut = (tokenizer.pieces(["the book [SEP] the retort"], max_tokens=limit)[0] for limit in (None, 3))

    assert words(tokenizer, whole) == ["the", "book", "the", "retort"]
    assert cut.tolist() == whole[:3].tolist()


def test_words_beyond_the_vocabulary_fall_into_characters_and_unknown_ones_are_dropped(tokenizer):
    assert words(tokenizer, tokenizer.pieces(["Book"])[0]) == ["book"]
    assert words(tokenizer, tokenizer.pieces(["wort"])[0]) == ["w", "##o", "##r", "##t"]
    assert tokenizer.pieces(["ж"])[0].tolist() == []


def test_the_vocabulary_is_specials_then_characters_then_words_by_count(tmp_path):
    build_word_tokenizer(["b a b cc", "cc dd b"], vocabulary_size=21, directory=tmp_path)
    tokenizer = Tokenizer(tmp_path)

    # b three times, cc twice, dd once; the single letters are there already as characters.
    expected = [*SPECIAL_TOKENS, "a", "b", "c", "d", "##a", "##b", "##c", "##d", "cc", "dd"]
    assert words(tokenizer, range(tokenizer.vocabulary_size)) == expected


def test_characters_leave_half_of_a_small_vocabulary_to_words(tmp_path):
    build_word_tokenizer(["b a b cc", "cc dd b"], vocabulary_size=13, directory=tmp_path)
    tokenizer = Tokenizer(tmp_path)

    # (13 - 5) // 4 = 2 characters, c (four times) and b (three); then words by count: cc twice, a and dd once.
    assert words(tokenizer, range(tokenizer.vocabulary_size)) == [
        *SPECIAL_TOKENS, "b", "c", "##b", "##c", "cc", "a", "dd",
    ]  # fmt: skip
    many = ["".join(chr(0x4E00 + n + k) for k in range(3)) for n in range(300)]
    build_word_tokenizer(many, vocabulary_size=128, directory=tmp_path)
    assert Tokenizer(tmp_path).vocabulary_size <= 128


def test_an_unknown_word_is_read_by_a_model_and_is_no_term(tmp_path):
    build_word_tokenizer(["the book"], vocabulary_size=128, directory=tmp_path)
    tokenizer = Tokenizer(tmp_path)

    read = tokenizer.context_ids("the 本", [], order="newest_first", max_tokens=8)
    assert words(tokenizer, read) == ["[CLS]", "the", "[UNK]", "[SEP]"]
    assert words(tokenizer, tokenizer.pieces(["the 本"])[0]) == ["the"]
    assert words(tokenizer, tokenizer.without_special(read)) == ["the"]


def test_the_same_texts_make_the_same_files_in_whatever_order(tmp_path, texts):
    build_word_tokenizer(texts, vocabulary_size=120, directory=tmp_path / "a")
    build_word_tokenizer(reversed(texts), vocabulary_size=120, directory=tmp_path / "b")

    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("loader", [AutoTokenizer, PreTrainedTokenizerFast])
def test_transformers_reads_the_same_ids_from_it(tokenizer, texts, loader):
    theirs = loader.from_pretrained(tokenizer.directory)

    assert theirs.pad_token_id == tokenizer.pad_id == 0
    for text in (*texts, "Distillation? WHO wrote it"):
        assert theirs(text)["input_ids"] == context(tokenizer, text, []).tolist()
        assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.pieces([text])[0].tolist()


def test_special_tokens_have_their_ids_from_the_configuration_or_their_usual_names(tokenizer, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes((tokenizer.directory / "tokenizer.json").read_bytes())
    without = Tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"cls_token": {"content": "[MASK]"}}))
    named = Tokenizer(tmp_path)

    assert (without.pad_id, without.cls_id, without.sep_id) == (0, 2, 3)
    assert named.cls_id == 4
    assert without.special_ids.tolist() == [0, 1, 2, 3, 4]


def test_a_directory_without_a_fast_tokeniser_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no tokenizer\.json; save the model's fast tokeniser"):
        Tokenizer(tmp_path)


def test_a_tokeniser_without_a_separator_is_refused(tokenizer, tmp_path):
    text = (tokenizer.directory / "tokenizer.json").read_text().replace("[SEP]", "[XXX]")
    (tmp_path / "tokenizer.json").write_text(text)

    with pytest.raises(ConfigError, match="has no sep_token"):
        Tokenizer(tmp_path)
