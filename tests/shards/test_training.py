"""Training shards: scores are dot products, what may be no negative is excluded, held-out conversations are absent."""

import numpy as np
import pytest

from retort.corpora.collection import passage_rows, read_doc_ids
from retort.corpora.context import context_of
from retort.corpora.holdout import validation_conversations
from retort.corpora.turns import read_judgements, read_turns
from retort.shards.reader import Collection, TrainingTurns
from retort.storage import Workspace


def opened(path):
    workspace = Workspace(path)
    (vectors,), stages = workspace.stages("vectors"), workspace.stages("training")
    return workspace, Collection(vectors), [TrainingTurns(stage) for stage in stages]


@pytest.fixture(scope="module")
def shard(prepared_path):
    workspace, collection, (turns,) = opened(prepared_path)
    return workspace, collection, turns


def check_positive_scores(collection, turns):
    """Positives' scores are the rewrite's dot products; returns how many of them lie outside the ranking."""
    outside = 0
    for number in range(len(turns)):
        ranked, scores, positive_scores = turns.ranking(number)
        rewrite = turns.rewrite_vectors("synthetic", [number], collection.vectors.vocabulary_size).to_scipy()
        positives = turns.positive_rows(number)
        expected = (collection.vectors.take(positives).to_scipy() @ rewrite.T).toarray()[:, 0]
        np.testing.assert_allclose(positive_scores, expected, rtol=1e-5)
        at = dict(zip(ranked.tolist(), scores.tolist(), strict=True))
        outside += sum(row not in at for row in positives.tolist())
        inside = [(at[row], score) for row, score in zip(positives.tolist(), positive_scores, strict=True) if row in at]
        assert all(score == pytest.approx(own, rel=1e-5) for own, score in inside)
    return outside


def test_positive_scores_are_dot_products(shard):
    _, collection, turns = shard
    check_positive_scores(collection, turns)


def test_a_positive_outside_the_top_k_has_its_score_too(prepared_copy, experiment_file, retort):
    done = retort(
        "prepare", experiment_file, "-w", prepared_copy, "teacher.top_k=3", "sampling.window=[0, 3]", "sampling.count=2"
    )
    assert done.code == 0, done.err
    _, collection, shards = opened(prepared_copy)
    (short,) = [turns for turns in shards if len(turns.ranking(0)[0]) == 3]
    assert check_positive_scores(collection, short) > 10


def test_positives_are_the_judged_ones(shard):
    workspace, _, turns = shard
    judged = read_judgements(workspace, "train")
    of_turn = {turn.query_id: turn.positives for turn in read_turns(workspace, "train")}
    doc_ids = read_doc_ids(workspace).to_pylist()
    for number, query_id in enumerate(turns.query_ids):
        wanted = {*of_turn[query_id], *(doc for doc, relevance in judged[query_id].items() if relevance >= 1)}
        assert {doc_ids[row] for row in turns.positive_rows(number).tolist()} == wanted


def test_excluded_are_the_positives_and_all_with_their_text(shard):
    workspace, collection, turns = shard
    twins = set(
        passage_rows(workspace, [d for d in read_doc_ids(workspace).to_pylist() if d.startswith("twin-")]).values()
    )
    with_twin = 0
    for number in range(len(turns)):
        positives, excluded = turns.positive_rows(number), turns.excluded_rows(number).tolist()
        same = np.flatnonzero(np.isin(collection.text_hashes, collection.text_hashes[positives]))
        assert excluded == same.tolist() and set(positives.tolist()) <= set(excluded)
        with_twin += bool(twins & set(excluded))
    assert with_twin >= 10


def test_held_out_conversations_are_absent_and_all_others_there(shard, experiment):
    workspace, _, turns = shard
    read = {turn.query_id: turn for turn in read_turns(workspace, "train")}
    held_out = validation_conversations({t.conversation_id for t in read.values()}, experiment.corpus.validation)
    assert len(held_out) == 8
    assert turns.query_ids == [q for q, turn in read.items() if turn.conversation_id not in held_out]
    assert turns.turn_numbers.tolist() == [read[q].turn_number for q in turns.query_ids]


def test_input_ids_are_the_context_within_its_budget(shard, experiment):
    workspace, collection, turns = shard
    read = {turn.query_id: turn for turn in read_turns(workspace, "train")}
    tokenizer, budget = collection.tokenizer, experiment.encoder.query_tokens
    assert turns.lengths.max() == budget
    for number, query_id in enumerate(turns.query_ids):
        ids = turns.input_ids(number).tolist()
        assert len(ids) == turns.lengths[number] <= budget
        context = context_of(read[query_id], experiment.context)
        (question,) = tokenizer.pieces([context.question], keep_unknown=True)
        assert ids[: len(question) + 2] == [tokenizer.cls_id, *question.tolist(), tokenizer.sep_id]
        whole = [tokenizer.cls_id]
        for text in (context.question, *context.history):
            whole += [*tokenizer.pieces([text], keep_unknown=True)[0].tolist(), tokenizer.sep_id]
        assert ids[:-1] == whole[: len(ids) - 1] and ids[-1] == tokenizer.sep_id
