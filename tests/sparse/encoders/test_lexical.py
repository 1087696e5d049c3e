"""The lexical student: a bag of words until it is trained, and the maximum over repetitions afterwards."""

import math

import numpy as np
import pytest
import torch

from retort.sparse.encoders.encoder import encode_ids, load_student, save_student
from retort.sparse.encoders.lexical import LexicalStudent
from retort.sparse.encoders.packing import pack


@pytest.fixture
def student(tokenizer):
    return LexicalStudent.tiny(
        tokenizer.vocabulary_size, tokenizer.special_ids.tolist(), hidden_size=16, layers=1, max_tokens=32
    ).eval()


@pytest.fixture
def trained(student):
    """The same student with a head of random weights, as if it had been trained."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        student.head.weight.copy_(torch.randn(student.head.weight.shape, generator=generator))
    return student


def contexts(tokenizer, texts):
    return [
        tokenizer.context_ids(text, ["the retort", "the the book"], order="newest_first", max_tokens=32)
        for text in texts
    ]


def dense(student, sequences):
    return encode_ids(student, sequences).to_scipy().toarray()


def test_untrained_every_word_piece_weighs_log_2(student, tokenizer, texts):
    for ids in contexts(tokenizer, texts):
        (found,) = dense(student, [ids])
        expected = np.zeros(tokenizer.vocabulary_size)
        expected[tokenizer.without_special(ids)] = math.log(2)
        np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_piece_keeps_the_maximum_over_its_repetitions_and_specials_none(trained, tokenizer, texts):
    several = False
    for ids in contexts(tokenizer, texts):
        with torch.no_grad():
            body = trained.body(input_ids=torch.tensor(ids).long().unsqueeze(0)).last_hidden_state[0]
            logits = body @ trained.head.weight[0] + trained.head.bias
        expected = np.zeros(tokenizer.vocabulary_size)
        for index, logit in zip(ids.tolist(), logits.tolist(), strict=True):
            if index not in tokenizer.special_ids:
                weight = math.log(1 + max(0.0, logit))
                several = several or (expected[index] > 0 and expected[index] != weight)
                expected[index] = max(expected[index], weight)
        np.testing.assert_allclose(dense(trained, [ids])[0], expected, atol=1e-5)
    assert several, "no piece was repeated with another weight"


def test_its_neighbours_in_the_batch_change_nothing(trained, tokenizer, texts):
    sequences = contexts(tokenizer, texts)
    with torch.no_grad():
        in_batch = trained(*pack(sequences))
        alone = torch.cat([trained(*pack([ids])) for ids in sequences])

    torch.testing.assert_close(in_batch, alone, atol=1e-6, rtol=1e-5)
    assert torch.count_nonzero(in_batch[:, tokenizer.special_ids.tolist()]) == 0


def test_the_tiny_student_is_the_same_every_time(student, tokenizer):
    torch.manual_seed(5)
    again = LexicalStudent.tiny(
        tokenizer.vocabulary_size, tokenizer.special_ids.tolist(), hidden_size=16, layers=1, max_tokens=32
    )

    torch.testing.assert_close(again.state_dict(), student.state_dict(), atol=0, rtol=0)


def test_a_checkpoint_loads_as_the_same_student(trained, tokenizer, texts, tmp_path):
    save_student(trained, tmp_path, tokenizer=tokenizer, max_tokens=32)
    loaded, its_tokenizer = load_student(tmp_path)
    sequences = contexts(tokenizer, texts)

    assert not loaded.training and loaded.vocabulary_size == tokenizer.vocabulary_size
    for mine, theirs in zip(contexts(its_tokenizer, texts), sequences, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(dense(loaded, sequences), dense(trained, sequences))
