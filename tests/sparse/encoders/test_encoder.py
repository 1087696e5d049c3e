"""Encoding in batches, parameter groups and checkpoints of both families."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from retort.config import EncoderConfig
from retort.errors import ConfigError
from retort.sparse.encoders.encoder import (
    encode_ids,
    initial_student,
    load_student,
    parameter_groups,
    save_student,
    say_slow_bfloat16,
)
from retort.sparse.encoders.lexical import LexicalStudent
from retort.sparse.encoders.splade import SpladeEncoder

SMALL = {"model": "tiny", "hidden_size": 16, "layers": 1, "query_tokens": 16, "passage_tokens": 16}


class CountingStudent(nn.Module):
    """Weighs every token with its number of occurrences, and remembers the lengths of its batches' texts."""

    vocabulary_size = 9

    def __init__(self):
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(1))
        self.batches = []

    def forward(self, input_ids, lengths):
        self.batches.append(lengths)
        return torch.stack([text.bincount(minlength=self.vocabulary_size) for text in input_ids.split(lengths)])


@settings(deadline=None)
@given(
    sequences=st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=7), max_size=9),
    batch_tokens=st.integers(1, 30),
)
def test_encoding_keeps_the_order_and_the_bound_on_a_batch(sequences, batch_tokens):
    student = CountingStudent()
    arrays = [np.array(ids, dtype=np.int32) for ids in sequences]
    found = encode_ids(student, arrays, batch_tokens=batch_tokens)

    expected = [np.bincount(ids, minlength=9) for ids in sequences]
    np.testing.assert_array_equal(found.to_scipy().toarray(), np.array(expected).reshape(-1, 9))
    assert sum(len(lengths) for lengths in student.batches) == len(sequences)
    assert all(len(lengths) == 1 or sum(lengths) <= batch_tokens for lengths in student.batches)


def test_texts_of_like_length_share_a_batch():
    student = CountingStudent()
    lengths = [1, 6, 1, 6, 1, 6]
    encode_ids(student, [np.ones(length, dtype=np.int32) for length in lengths], batch_tokens=18)

    assert student.batches == [(6, 6, 6), (1, 1, 1)]


@pytest.mark.parametrize(("family", "kind"), [("lexical", LexicalStudent), ("splade", SpladeEncoder)])
def test_the_tiny_student_of_each_family_comes_back_from_its_checkpoint(family, kind, tokenizer, texts, tmp_path):
    student = initial_student(EncoderConfig(family=family, **SMALL), tokenizer).eval()
    sequences = tokenizer.pieces(texts)
    save_student(student, tmp_path / "checkpoint", tokenizer=tokenizer, max_tokens=16)
    loaded, its_tokenizer = load_student(tmp_path / "checkpoint")
    before, after = (encode_ids(s, sequences) for s in (student, loaded))

    assert isinstance(loaded, kind) and its_tokenizer.vocabulary_size == tokenizer.vocabulary_size
    assert before.entries > 0
    np.testing.assert_array_equal(before.to_scipy().toarray(), after.to_scipy().toarray())


def test_a_directory_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"is no checkpoint: it has no retort\.json"):
        load_student(tmp_path)


def test_every_parameter_is_in_one_group_and_only_the_head_learns_faster(tokenizer):
    lexical, splade = (initial_student(EncoderConfig(family=f, **SMALL), tokenizer) for f in ("lexical", "splade"))
    body, head = parameter_groups(lexical, learning_rate=1e-3, head_factor=10)
    (everything,) = parameter_groups(splade, learning_rate=1e-3, head_factor=10)

    assert body["lr"] == everything["lr"] == 1e-3 and head["lr"] == 1e-2
    assert [id(p) for p in head["params"]] == [id(p) for p in lexical.head.parameters()]
    together = [id(p) for p in (*body["params"], *head["params"])]
    assert sorted(together) == sorted(id(p) for p in lexical.parameters())
    assert sorted(id(p) for p in everything["params"]) == sorted(id(p) for p in splade.parameters())


def test_a_bf16_scan_finds_the_float32_vectors_and_a_bf16_body_nearly(tokenizer, texts):
    student = initial_student(EncoderConfig(family="splade", **SMALL | {"hidden_size": 64}), tokenizer).eval()
    sequences = tokenizer.pieces(texts)
    exact, scanned, half = (
        encode_ids(student, sequences, precision=precision).to_scipy().toarray()
        for precision in ("fp32", "bf16_scan", "bf16")
    )

    np.testing.assert_allclose(scanned, exact, atol=1e-6, rtol=1e-6)
    assert not np.array_equal(half, exact)
    cosines = (half * exact).sum(axis=1) / np.linalg.norm(half, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosines.min() > 0.999


def test_bf16_on_a_processor_without_it_is_said_to_be_slow(caplog):
    has_it = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with caplog.at_level(logging.WARNING, logger="retort"):
        say_slow_bfloat16(torch.device("cpu"))
        say_slow_bfloat16(torch.device("cuda"))

    said = ["this processor computes bfloat16 in software, about ten times slower than float32"]
    assert [record.getMessage() for record in caplog.records] == ([] if has_it else said)
