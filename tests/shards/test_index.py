"""The index stage: the same index however it is cut, gone on with where it stopped, opened without being read."""

import json
import shutil

import numpy as np
import pytest
from tests.stages import as_after_a_kill

from retort.progress import silent
from retort.shards.index import index_stage, open_index, part_passages, prepare_index
from retort.shards.reader import Collection
from retort.sparse.search.exact import ExactIndex, merge_rankings
from retort.sparse.vectors import SparseVectors
from retort.storage import Workspace


def opened(path):
    workspace = Workspace(path)
    (vectors,), (index,) = workspace.stages("vectors"), workspace.stages("indexes")
    return workspace, vectors, index


@pytest.fixture(scope="module")
def collection(prepared_path):
    return Collection(opened(prepared_path)[1])


@pytest.fixture(scope="module")
def queries(collection):
    """Passages of the collection as queries, and one that retrieves nothing."""
    chosen = collection.vectors.take(range(0, len(collection.vectors), 7))
    nothing = SparseVectors.from_rows([([], [])], collection.vectors.vocabulary_size)
    return SparseVectors.concatenate([chosen, nothing])


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_the_stage_holds_the_index_of_the_collections_vectors(prepared_path, collection, queries):
    _, _, folder = opened(prepared_path)
    found = open_index(folder).search(queries, 20)
    built = ExactIndex.of(collection.vectors, collection.tie_places)

    assert_equal(found, built.search(queries, 20))
    assert all(len(ranking.rows) == 20 for ranking in found[:-1]) and len(found[-1].rows) == 0
    counts = folder.record().counts
    assert counts["passages"] == len(collection.vectors) == sum(part_passages(folder))
    assert counts["entries"] == sum(part.entries for part in collection.vectors.parts)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_parts_and_blocks_change_nothing(prepared_copy, collection, queries, ray_session, share):
    workspace, vectors, _ = opened(prepared_copy)
    folder = prepare_index(workspace, vectors, silent, part_passages=100, block_passages=64, frequent_share=share)
    parts = part_passages(folder)
    assert len(parts) == -(-len(collection.vectors) // 100) > 3 and sum(parts) == len(collection.vectors)

    found = open_index(folder).search(queries, 20)
    assert_equal(
        found, ExactIndex.of(collection.vectors, collection.tie_places, frequent_share=share).search(queries, 20)
    )
    middle = len(parts) // 2
    apart = [
        open_index(folder, parts=numbers).search(queries, 20) for numbers in (range(middle), range(middle, len(parts)))
    ]
    merged = [merge_rankings(rankings, collection.tie_places, 20) for rankings in zip(*apart, strict=True)]
    assert_equal(merged, found)
    assert_equal(open_index(folder).only(range(middle)).search(queries, 20), apart[0])


def test_a_part_that_was_finished_is_kept(prepared_copy, ray_session):
    workspace, vectors, _ = opened(prepared_copy)
    whole = prepare_index(workspace, vectors, silent, part_passages=256, block_passages=64)
    before = whole.record()
    as_after_a_kill(prepared_copy / whole.name, "part-00001.npy")
    kept = prepared_copy / whole.name / "part-00000.npy"
    written = kept.stat().st_mtime_ns

    again = prepare_index(workspace, vectors, silent, part_passages=256, block_passages=64)
    assert again.name == whole.name and again.record().files == before.files
    assert kept.stat().st_mtime_ns == written


def test_an_index_that_is_there_is_found(prepared_path):
    workspace, vectors, folder = opened(prepared_path)
    told = []
    assert prepare_index(workspace, vectors, lambda *words: told.append(words)).name == folder.name
    assert told == [("index", 1, 1, f"{folder.name} is there already")]


def test_what_the_index_is_made_of_is_in_its_name(prepared_path):
    workspace, vectors, folder = opened(prepared_path)
    names = {
        index_stage(workspace, vectors, **changes).folder.name
        for changes in ({}, {"part_passages": 64}, {"block_passages": 64}, {"frequent_share": 0.5})
    }
    assert len(names) == 4 and folder.name in names
    assert folder.name.startswith("indexes/lexical-tiny-")
    assert folder.record().inputs == {"vectors": vectors.record().fingerprint}


def test_opening_reads_no_postings(prepared_copy):
    _, _, folder = opened(prepared_copy)
    index = open_index(folder)
    assert index.parts and all(isinstance(postings.memory, np.memmap) for _, postings in index.parts)
    # Nothing else of any size stands beside them.
    others = [entry.bytes for entry in folder.record().files if not entry.name.startswith("part-")]
    assert len(others) == 2 and sum(others) < 16 * len(index.places) + 4096


def test_evaluating_builds_an_index_that_is_missing(prepared_copy, experiment_file, retort, listing):
    shutil.rmtree(prepared_copy / "indexes")
    done = retort("evaluate", "baseline:last", "-w", prepared_copy, "--split", "dev", "--json")
    assert done.code == 0, done.err
    assert 0 < json.loads(done.out)["R@100"] <= 1
    assert [name for name in listing(prepared_copy / "indexes") if name.endswith("record.json")]
