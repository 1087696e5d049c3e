"""Two teachers in one training shard: every fusion at reading, weights learned at preparing, and filtered near-duplicates."""

import numpy as np
import pytest
import torch

from retort.config import experiment_from
from retort.corpora.holdout import validation_conversations
from retort.corpora.turns import read_turns
from retort.distill.step import build_batch
from retort.identity import canonical_json, fingerprint
from retort.records import Rewrite
from retort.shards.reader import Collection, TrainingTurns
from retort.sparse.objective.filtering import overlap
from retort.storage import Workspace
from retort.teachers.fusion import fuse
from retort.teachers.imports import read_rewrites, write_rewrites

NAMES = ["synthetic", "short"]
WORDS = ["teacher.names=[synthetic, short]", "teacher.top_k=30", "sampling.window=[0, 30]", "sampling.count=6"]


@pytest.fixture(scope="module")
def two(prepared_path, tmp_path_factory, retort, experiment_file):
    """A workspace with a second, worse teacher that lacks every seventh turn, prepared for the mean and for learned fusion."""
    import shutil

    path = shutil.copytree(prepared_path, tmp_path_factory.mktemp("two") / "workspace")
    workspace = Workspace(path)
    rewrites = [
        Rewrite(query_id, " ".join(text.split()[:-2]) or text)
        for number, (query_id, text) in enumerate(read_rewrites(workspace, "synthetic", "train").items())
        if number % 7
    ]
    write_rewrites(workspace, rewrites, teacher="short", split="train", inputs={"made": "here"})
    for fusion in ("mean", "learned"):
        done = retort("prepare", experiment_file, "-w", path, *WORDS, f"teacher.fusion={fusion}")
        assert done.code == 0, done.err
    shards = {
        "fusion" in stage.record().config: TrainingTurns(stage)
        for stage in workspace.stages("training")
        if stage.record().config["teachers"] == NAMES
    }
    return path, shards[False], shards[True]


def of_teachers(turns, number):
    present = [t for t in NAMES if len(turns._list(f"{t}/positive_scores", number))]
    rankings = [(turns._list(f"{t}/passage_rows", number), turns._list(f"{t}/scores", number)) for t in present]
    return present, rankings, [turns._list(f"{t}/positive_scores", number) for t in present]


@pytest.mark.parametrize("fusion", ["mean", "normalized_mean", "rrf", "learned"])
def test_a_turns_ranking_is_the_fusion_of_its_teachers(two, fusion):
    _, plain, learned = two
    turns = learned if fusion == "learned" else plain
    alone = 0
    for number in range(len(turns)):
        present, rankings, own = of_teachers(turns, number)
        weights = [turns.teacher_weights[t] for t in present] if fusion == "learned" else None
        expected = fuse(fusion, rankings, turns.positive_rows(number), own, weights=weights)
        for found, wanted in zip(turns.ranking(number, fusion), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        alone += len(present) == 1
    assert 0 < alone < len(turns) / 2


def test_the_shard_does_not_depend_on_the_fusion_unless_weights_are_learned(two, retort, experiment_file):
    path, plain, _ = two
    before = len(Workspace(path).stages("training"))
    for fusion in ("rrf", "one_per_step", "normalized_mean"):
        assert retort("prepare", experiment_file, "-w", path, *WORDS, f"teacher.fusion={fusion}").code == 0
    assert len(Workspace(path).stages("training")) == before
    assert plain.teacher_weights is None


def test_weights_are_learned_on_held_out_turns_and_recorded(two, experiment):
    path, _, learned = two
    weights = learned.record.counts["teacher_weights"]
    assert list(weights) == NAMES and sum(weights.values()) == pytest.approx(1)
    assert weights == learned.teacher_weights and weights["synthetic"] > weights["short"]
    workspace = Workspace(path)
    (stage,) = [s for s in workspace.stages("training") if s.record().names(suffix="teacher_weights.json")]
    told = stage.read_json("teacher_weights.json")
    assert told["log_likelihood"] >= told["uniform"]
    conversations = {turn.conversation_id for turn in read_turns(workspace, "train")}
    held_out = validation_conversations(conversations, experiment.corpus.validation)
    # Every held-out turn that both teachers ranked, and no other.
    short = read_rewrites(workspace, "short", "train")
    assert told["turns"] == sum(
        t.conversation_id in held_out and t.query_id in short for t in read_turns(workspace, "train")
    )


def test_one_teacher_is_drawn_by_seed_epoch_and_turn(two):
    _, turns, _ = two
    drawn = {}
    for number in range(len(turns)):
        present, rankings, own = of_teachers(turns, number)
        for seed, epoch in ((0, 0), (0, 1), (1, 0)):
            teacher = turns.drawn_teacher(number, seed, epoch)
            rows, scores, positive_scores = turns.ranking(number, "one_per_step", seed=seed, epoch=epoch)
            place = present.index(teacher)
            np.testing.assert_array_equal(rows, rankings[place][0])
            np.testing.assert_array_equal(scores, rankings[place][1])
            np.testing.assert_array_equal(positive_scores, own[place])
            assert teacher == turns.drawn_teacher(number, seed, epoch)
            if len(present) == 2:
                drawn.setdefault((seed, epoch), []).append(teacher)
    assert len({tuple(names) for names in drawn.values()}) == 3
    for names in drawn.values():
        assert 0.35 < names.count("short") / len(names) < 0.65


def test_a_batch_takes_the_drawn_teachers_scores_whoever_builds_it(two):
    path, turns, _ = two
    vectors = Collection(Workspace(path).stages("vectors")[0]).vectors
    config = experiment_from(
        {
            "teacher": {"names": NAMES, "top_k": 30, "fusion": "one_per_step"},
            "sampling": {"window": [0, 30], "count": 6},
            "encoder": {"score_scale": 1.0},
        }
    )
    numbers = np.arange(12)

    def scores(epoch, own):
        batch = build_batch(turns, vectors, numbers, own, config=config, epoch=epoch, device=torch.device("cpu"))
        return batch.teacher_scores

    for epoch in (0, 1):
        whole = scores(epoch, slice(None))
        assert torch.equal(whole[1::2], scores(epoch, slice(1, None, 2)))
        for place, turn in enumerate(numbers.tolist()):
            _, of_ranking, of_positives = turns.ranking(turn, "one_per_step", seed=0, epoch=epoch)
            assert float(whole[place, 0]) in of_positives.tolist()
            assert set(whole[place, 1:].tolist()) <= {*of_ranking.tolist(), 0.0}
    assert not torch.equal(scores(0, slice(None)), scores(1, slice(None)))


@pytest.mark.parametrize(
    "settings",
    [{"score_ratio": 0.8}, {"overlap": 0.4}, {"score_ratio": 0.9, "overlap": 0.5}],
    ids=["score", "text", "both"],
)
def test_near_duplicates_of_a_positive_are_excluded_and_counted(settings, two, retort, experiment_file):
    path, plain, _ = two
    words = [f"sampling.filter_{name}={value}" for name, value in settings.items()]
    done = retort("prepare", experiment_file, "-w", path, *WORDS, *words)
    assert done.code == 0, done.err
    workspace = Workspace(path)
    (filtered,) = [
        TrainingTurns(s) for s in workspace.stages("training") if s.record().config.get("filters") == settings
    ]
    vectors = Collection(workspace.stages("vectors")[0]).vectors
    by_score = by_overlap = both = touched = 0
    for number in range(len(plain)):
        rows, scores, positive_scores = plain.ranking(number)
        before = set(plain.excluded_rows(number).tolist())
        near_score = near_text = set()
        if "score_ratio" in settings and positive_scores.max() > 0:
            near_score = {
                r for r, s in zip(rows, scores, strict=True) if s >= settings["score_ratio"] * positive_scores.max()
            }
        if "overlap" in settings:
            shared = overlap(vectors.take(rows), vectors.take(plain.positive_rows(number)))
            near_text = set(rows[shared >= settings["overlap"]].tolist())
        near_score, near_text = set(map(int, near_score)) - before, near_text - before
        assert filtered.excluded_rows(number).tolist() == sorted(before | near_score | near_text)
        by_score, by_overlap = by_score + len(near_score), by_overlap + len(near_text)
        both += len(near_score | near_text)
        touched += bool(near_score | near_text)
    counts = filtered.record.counts
    assert counts["filtered"] == both > 0 and counts["turns_with_filtered"] == touched
    assert counts.get("filtered_by_score_ratio", 0) == by_score and counts.get("filtered_by_overlap", 0) == by_overlap
    assert "filtered" not in plain.record.counts


def test_runs_and_shards_of_the_defaults_keep_their_names():
    identity = experiment_from({}).training_identity()
    assert fingerprint("run", 1, config=identity, inputs={})[:12] == "839d5e3a904a"
    for settings in (
        {"sampling": {"filter_score_ratio": None, "filter_overlap": None}},
        {"teacher": {"fusion": "rrf"}},  # of one teacher
    ):
        assert canonical_json(experiment_from(settings).training_identity()) == canonical_json(identity)
    for settings in (
        {"sampling": {"filter_score_ratio": 0.9}},
        {"sampling": {"filter_overlap": 0.9}},
        {"teacher": {"names": ["a", "b"], "fusion": "rrf"}},
    ):
        assert canonical_json(experiment_from(settings).training_identity()) != canonical_json(identity)


def test_learned_weights_need_held_out_conversations(tmp_path, retort):
    from retort.errors import ConfigError

    with pytest.raises(ConfigError, match=r"teacher\.fusion=learned needs corpus\.validate to hold out a share"):
        experiment_from({"teacher": {"fusion": "learned"}, "corpus": {"validate": None}})
    for sampling in ({"filter_overlap": 1.5}, {"filter_score_ratio": 0}):
        with pytest.raises(ConfigError, match=next(iter(sampling))):
            experiment_from({"sampling": sampling})
