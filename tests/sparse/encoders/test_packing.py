"""Bodies that read packed texts, and those that need padding: the same vectors, and what is said of it."""

import json
import logging

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM

from retort.sparse.encoders import packing
from retort.sparse.encoders.attention import PACKED_ATTENTION
from retort.sparse.encoders.packing import PACKED_BODIES, pack, prepare_body, read_packed

BODIES = {
    "bert": "BertForMaskedLM",
    "camembert": "CamembertForMaskedLM",
    "distilbert": "DistilBertForMaskedLM",
    "modernbert": "ModernBertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "xlm-roberta": "XLMRobertaForMaskedLM",
}


def sequences(tokenizer, texts):
    return [
        tokenizer.context_ids(text, texts[:number], order="newest_first", max_tokens=40)
        for number, text in enumerate(texts)
    ]


def test_every_body_that_is_packed_is_tested():
    assert sorted(BODIES) == sorted(PACKED_BODIES)


@pytest.mark.parametrize("model_type", [*PACKED_BODIES, "electra"])
def test_hidden_states_and_gradients_are_the_padded_batchs(model_type, saved_masked_lm, padded, tokenizer, texts):
    directory = saved_masked_lm(BODIES.get(model_type, "ElectraForMaskedLM"))
    # float64, in which nothing but a wrong formula makes a difference of 1e-10.
    body = AutoModel.from_pretrained(directory).double().eval()
    packed, lengths = pack(sequences(tokenizer, texts))
    ids, mask = padded(packed, lengths)
    expected = body(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()]
    prepare_body(body)
    found = read_packed(lambda **inputs: body(**inputs).last_hidden_state, body.config, packed, lengths)
    trained = list(body.parameters())
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    mine = torch.autograd.grad(found, trained, upstream, allow_unused=True)
    theirs = torch.autograd.grad(expected, trained, upstream, allow_unused=True)

    assert (body.config._attn_implementation == PACKED_ATTENTION) == (model_type in PACKED_BODIES)
    assert len(set(lengths)) > 2
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-8)
    for one, other in zip(mine, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("model_type", PACKED_BODIES)
def test_a_prepared_model_is_saved_as_it_was_and_still_takes_padded_batches(
    model_type, saved_masked_lm, padded, tokenizer, texts, tmp_path
):
    directory = saved_masked_lm(BODIES[model_type])
    model = AutoModelForMaskedLM.from_pretrained(directory).eval()
    ids, mask = padded(*pack(sequences(tokenizer, texts)))
    expected = model(input_ids=ids, attention_mask=mask).logits
    prepare_body(model)
    model.save_pretrained(tmp_path / "again")

    torch.testing.assert_close(model(input_ids=ids, attention_mask=mask).logits, expected, atol=1e-5, rtol=1e-5)
    first, again = (json.loads((path / "config.json").read_text()) for path in (directory, tmp_path / "again"))
    assert again == first


def test_another_body_is_padded_and_that_is_said_once(masked_lm, caplog):
    packing._say_padded.cache_clear()
    with caplog.at_level(logging.WARNING, logger="retort"):
        prepare_body(masked_lm("ElectraForMaskedLM"))
        prepare_body(masked_lm("ElectraForMaskedLM"))

    assert [record.getMessage() for record in caplog.records] == [
        "bodies of type electra are run on padded batches, which is slower; unpadded are: " + ", ".join(PACKED_BODIES)
    ]


def test_pack_by_hand():
    ids, lengths = pack([np.array([5, 6], dtype=np.int32), np.array([7], dtype=np.int32)])

    assert ids.tolist() == [5, 6, 7] and ids.dtype == torch.int64 and lengths == (2, 1)


@pytest.mark.parametrize("lengths", [(2, 2), (3, 0), ()])
def test_lengths_must_be_positive_and_sum_to_the_ids(lengths, masked_lm):
    model = masked_lm("BertForMaskedLM")
    with pytest.raises(ValueError, match="must be positive and sum to the 3 input ids"):
        read_packed(model, model.config, torch.tensor([1, 2, 3]), lengths)
