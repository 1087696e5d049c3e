"""The collection's vectors against a plain BM25, and what stands beside them against counting."""

import math
from collections import Counter

import numpy as np
import pytest

from retort.config import EncoderConfig
from retort.corpora.collection import passage_parts, read_doc_ids, read_passages
from retort.progress import silent
from retort.shards.reader import Collection
from retort.shards.vectors import prepare_vectors, vectors_stage
from retort.storage import Workspace


@pytest.fixture(scope="module")
def workspace(prepared_path):
    return Workspace(prepared_path)


@pytest.fixture(scope="module")
def collection(workspace, experiment):
    return Collection(vectors_stage(workspace, experiment.encoder).folder)


@pytest.fixture(scope="module")
def counts(workspace, experiment, collection):
    """Word pieces of each passage, counted one by one."""
    passages = read_passages(workspace, range(len(collection.vectors)))
    texts = [f"{p.title}. {p.text}" if p.title else p.text for p in passages]
    pieces = [collection.tokenizer.pieces([text])[0][: experiment.encoder.passage_tokens] for text in texts]
    return [Counter(ids.tolist()) for ids in pieces]


def test_the_collection_has_several_parts(workspace, collection):
    assert len(passage_parts(workspace)) == len(collection.vectors.parts) == 2
    assert len(collection.vectors) == sum(part.rows for part in passage_parts(workspace))


def test_lexical_vectors_are_bm25(experiment, collection, counts):
    k1, b, n = experiment.encoder.k1, experiment.encoder.b, len(counts)
    df = Counter(term for passage in counts for term in passage)
    mean_length = sum(passage.total() for passage in counts) / n
    vectors = collection.vectors.take(range(n))
    for row, passage in enumerate(counts):
        indices, values = vectors.row(row)
        expected = {
            term: math.log(1 + (n - df[term] + 0.5) / (df[term] + 0.5))
            * tf
            * (k1 + 1)
            / (tf + k1 * (1 - b + b * passage.total() / mean_length))
            for term, tf in passage.items()
        }
        assert indices.tolist() == sorted(expected)
        np.testing.assert_allclose(values, [expected[term] for term in indices.tolist()], rtol=1e-5)


def test_passage_share_is_what_counting_gives(collection, counts):
    active = np.zeros(collection.vectors.vocabulary_size)
    for passage in counts:
        active[list(passage)] += 1
    np.testing.assert_array_equal(collection.passage_share, active / len(counts))


def test_rows_are_taken_across_parts_in_the_order_asked_for(collection):
    n, boundary = len(collection.vectors), int(collection.vectors.first_rows[1])
    wanted = [n - 1, 0, boundary, boundary - 1, 0, boundary + 1, 7]
    taken = collection.vectors.take(wanted)
    for place, row in enumerate(wanted):
        part = int(row >= boundary)
        indices, values = collection.vectors.parts[part].row(row - part * boundary)
        np.testing.assert_array_equal(taken.row(place)[0], indices)
        np.testing.assert_array_equal(taken.row(place)[1], values)


@pytest.mark.parametrize("row", [-1, 10**6])
def test_a_row_that_is_not_there_is_refused(collection, row):
    with pytest.raises(ValueError, match=r"rows must lie in \[0, "):
        collection.vectors.take([0, row])


def test_ids_ties_and_hashes_follow_the_rows(workspace, collection):
    doc_ids = read_doc_ids(workspace).to_pylist()
    assert collection.doc_ids.to_pylist() == doc_ids
    # trec_eval breaks ties by doc_id, the greater one first.
    assert [doc_ids[row] for row in np.argsort(collection.tie_places)] == sorted(doc_ids, reverse=True)
    by_text: dict[str, set[int]] = {}
    for passage, value in zip(read_passages(workspace, range(len(doc_ids))), collection.text_hashes, strict=True):
        by_text.setdefault(" ".join(passage.text.lower().split()), set()).add(int(value))
    assert all(len(hashes) == 1 for hashes in by_text.values())
    assert len({value for hashes in by_text.values() for value in hashes}) == len(by_text) < len(doc_ids)


def test_what_concerns_the_student_alone_leaves_the_vectors_where_they_are(workspace, experiment):
    def name(**changes):
        encoder = experiment.encoder.model_copy(update=changes)
        return vectors_stage(workspace, encoder).folder.name

    assert name() == name(query_tokens=64) == name(layers=2) == name(hidden_size=64) == name(score_scale=1.0)
    assert len({name(), name(passage_tokens=32), name(k1=1.2), name(b=0.1), name(vocabulary_size=512)}) == 5


def test_vectors_that_are_there_are_found_without_reading_the_passages(workspace, experiment):
    told = []
    folder = prepare_vectors(workspace, experiment.encoder, lambda *words: told.append(words))
    assert told == [("vectors", 1, 1, f"{folder.name} is there already")]
    assert prepare_vectors(workspace, experiment.encoder, silent).name == folder.name


def test_a_splade_collections_precision_makes_other_vectors(workspace, experiment):
    def name(**changes):
        encoder = EncoderConfig.model_validate(
            {**experiment.encoder.model_dump(), "family": "splade", "score_scale": 1.0, **changes}
        )
        return vectors_stage(workspace, encoder).folder.name

    assert name() == name(passage_precision="fp32")
    assert len({name(), name(passage_precision="bf16_scan"), name(passage_precision="bf16")}) == 3
