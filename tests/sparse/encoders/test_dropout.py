"""Hashed dropout: its rate, its gradient, its seed, and that it leaves alone what torch's own should do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from retort.sparse.encoders.dropout import FastDropout, drop, replace_dropout


@pytest.mark.parametrize("probability", [0.02, 0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_probability(probability):
    entries = 400_000
    kept = drop(torch.ones(entries), 7, probability) > 0

    assert stats.binomtest(int((~kept).sum()), entries, probability).pvalue > 1e-3
    # Neighbours, and the same places under another seed, are dropped independently of each other.
    other = drop(torch.ones(entries), 8, probability) > 0
    for first, second in ((kept[1:], kept[:-1]), (kept, other), (kept[64:], kept[:-64])):
        both = int((~first & ~second).sum())
        assert stats.binomtest(both, len(first), probability**2).pvalue > 1e-3


@settings(deadline=None)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_what_is_kept_is_scaled_up_and_the_gradient_follows_it(shape, seed):
    torch.manual_seed(seed)
    values = torch.randn(shape, requires_grad=True)
    layer = FastDropout(0.4)
    result = layer(values)
    upstream = torch.randn(shape)
    result.backward(upstream)
    kept = result != 0

    torch.testing.assert_close(result, torch.where(kept, values / 0.6, 0.0))
    torch.testing.assert_close(values.grad, torch.where(kept, upstream / 0.6, 0.0))


def test_torchs_seed_decides_what_is_dropped():
    layer, values = FastDropout(0.5), torch.ones(1000)
    torch.manual_seed(5)
    first, second = layer(values), layer(values)
    torch.manual_seed(5)
    again = layer(values)

    assert torch.equal(first, again) and not torch.equal(first, second)


def test_in_evaluation_and_without_probability_nothing_is_drawn():
    before = torch.random.get_rng_state()
    values = torch.ones(4)

    assert FastDropout(0.5).eval()(values) is values and FastDropout(0.0)(values) is values
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_transposed_tensor_is_dropped_as_what_it_shows():
    values = torch.arange(1.0, 13.0).view(3, 4)
    torch.manual_seed(1)
    found = FastDropout(0.3)(values.T)
    kept = found != 0

    assert found.shape == (4, 3)
    torch.testing.assert_close(found, torch.where(kept, values.T / 0.7, 0.0))


def test_bfloat16_drops_the_same_entries_and_is_rounded_once():
    values = torch.randn(1000, generator=torch.Generator().manual_seed(4)).bfloat16()
    found = []
    for argument in (values.requires_grad_(), values.detach().float().requires_grad_()):
        torch.manual_seed(1)
        result = FastDropout(0.3)(argument)
        found.append((result, *torch.autograd.grad(result.sum(), argument)))

    assert found[0][0].dtype == found[0][1].dtype == torch.bfloat16
    for half, single in zip(*found, strict=True):
        assert torch.equal(half, single.bfloat16())


def test_other_types_and_everything_dropped_are_torchs_own():
    double = FastDropout(0.5)(torch.ones(1000, dtype=torch.float64))

    assert double.dtype == torch.float64 and set(double.unique().tolist()) == {0.0, 2.0}
    assert torch.count_nonzero(FastDropout(1.0)(torch.ones(10))) == 0


def test_every_dropout_of_a_model_is_replaced_and_its_weights_keep_their_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.3), nn.AlphaDropout(0.1)))
    names = list(model.state_dict())
    model[2].eval()
    replace_dropout(model)

    assert [type(module) for module in (model[1], model[2][0], model[2][1])] == [
        FastDropout,
        FastDropout,
        nn.AlphaDropout,
    ]
    assert (model[1].p, model[2][0].p) == (0.2, 0.3) and list(model.state_dict()) == names
    assert model[1].training and not model[2][0].training
