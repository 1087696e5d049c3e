"""Fingerprints: equal for equal values, different for different ones, and refused where neither can be told."""

import hashlib
import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.identity import canonical_json, file_digest, fingerprint, stream_digest

SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def rewritten(value):
    """The same value, as somebody else would have written it: keys backwards, tuples for lists, floats for integers."""
    if isinstance(value, dict):
        return {key: rewritten(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return tuple(rewritten(item) for item in value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    return value


def test_canonical_json_by_hand():
    value = {"b": [1.0, 0.5, None], "a": {"é": True, "c": (2, "x")}}

    assert canonical_json(value) == '{"a":{"c":[2,"x"],"é":true},"b":[1,0.5,null]}'


@given(value=VALUES)
def test_equal_values_have_equal_text(value):
    assert canonical_json(rewritten(value)) == canonical_json(value)


@given(value=VALUES)
def test_canonical_json_says_what_the_value_is(value):
    # Python's 1 == 1.0 is the equality that is meant here; nothing but their spelling is lost.
    assert json.loads(canonical_json(value)) == value


@given(left=VALUES, right=VALUES)
def test_different_json_values_have_different_texts(left, right):
    same = json.dumps(rewritten(left), sort_keys=True) == json.dumps(rewritten(right), sort_keys=True)

    assert same or canonical_json(left) != canonical_json(right) or left == right


def test_a_truth_value_is_no_number_and_text_is_no_number():
    assert len({canonical_json(value) for value in (True, 1, "1", None, "true", [1], 1.5)}) == 7


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {1, 2}}, r"value\.a is a set, which has no stable form"),
        ({"a": [0, object()]}, r"value\.a\[1\] is a object"),
        ({"a": math.nan}, r"value\.a is nan, which has no canonical form; use None"),
        ([math.inf], r"value\[0\] is inf"),
        ({"a": {1: 2}}, r"value\.a has the key 1; keys .* must be text"),
        (b"bytes", "value is a bytes"),
    ],
)
def test_what_has_no_stable_form_is_refused_and_located(value, message):
    with pytest.raises(ValueError, match=message):
        canonical_json(value)


def test_a_fingerprint_is_the_sha256_of_its_canonical_json():
    text = '{"config":{"k":1},"inputs":{"passages":"ab"},"stage":"vectors","version":3}'
    found = fingerprint("vectors", 3, config={"k": 1.0}, inputs={"passages": "ab"})

    assert found == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "rankings"},
        {"version": 2},
        {"config": {"k1": 0.91, "order": ["a", "b"]}},
        {"config": {"k1": 0.9, "order": ["b", "a"]}},
        {"config": {"k1": 0.9, "order": ["a", "b"], "more": None}},
        {"inputs": {"passages": "abd"}},
        {"inputs": {"turns": "abc"}},
    ],
)
def test_anything_that_changes_the_result_changes_the_fingerprint(change):
    base = {
        "stage": "vectors",
        "version": 1,
        "config": {"k1": 0.9, "order": ["a", "b"]},
        "inputs": {"passages": "abc"},
    }
    one, other = (
        fingerprint(s["stage"], s["version"], config=s["config"], inputs=s["inputs"])
        for s in (base, {**base, **change})
    )

    assert one != other


@given(content=st.binary(max_size=100), repeats=st.sampled_from([1, 30_000]))
def test_digests_are_hashlibs_over_several_blocks(content, repeats):
    assert stream_digest(io.BytesIO(content * repeats)) == hashlib.sha256(content * repeats).hexdigest()


def test_a_files_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"retort")

    assert file_digest(tmp_path / "file") == hashlib.sha256(b"retort").hexdigest()
