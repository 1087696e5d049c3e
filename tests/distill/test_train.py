"""Training in one process: a golden run, accumulation, resuming, divergence.

The golden losses are written anew with ``RETORT_WRITE_GOLDEN=1 pytest tests/distill/test_train.py -k golden``; look at the
difference before you keep it.
"""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from retort.config import experiment_from, with_overrides
from retort.distill.state import Curves
from retort.distill.students import untrained_student
from retort.distill.worker import Material, States, Worker, train
from retort.errors import ConfigError, RunError
from retort.progress import silent
from retort.shards.index import open_index
from retort.shards.reader import Collection, TrainingTurns
from retort.storage import Workspace

GOLDEN = Path(__file__).parents[1] / "golden" / "distill.json"
GOLDEN_STEPS = 20
PENALTIES = {"none": 0.0, "l1": 0.01, "flops": 0.05, "expected_flops": 0.05}


@pytest.fixture(scope="module")
def trained(prepared_path, experiment, one_thread):
    """Trains the smoke experiment with some settings changed; returns the curves, the student, and the experiment."""
    workspace = Workspace(prepared_path)
    (vectors,), (shard,) = workspace.stages("vectors"), workspace.stages("training")
    collection, turns = Collection(vectors), TrainingTurns(shard)

    def call(*, progress=silent, student=None, states=None, index=None, **changes):
        overrides = {key.replace("__", "."): value for key, value in changes.items()}
        config = experiment_from(with_overrides(experiment.model_dump(mode="json"), overrides))
        own = student if student is not None else untrained_student(config, collection)
        material, worker = Material(config, turns, collection, index), Worker(torch.device("cpu"))
        curves = train(material, own, worker=worker, states=states, progress=progress)
        return curves, own, config

    return call


@pytest.fixture(scope="module")
def index(prepared_path):
    (folder,) = Workspace(prepared_path).stages("indexes")
    return open_index(folder)


def weights(student):
    return {name: value.detach().clone() for name, value in student.state_dict().items()}


def test_golden_losses(trained):
    curves, _, _ = trained(
        training__epochs=2,
        training__dropout=0.0,
        training__learning_rate=2e-4,
        objective__contrastive_weight=0.1,
        regularization__query="expected_flops",
        regularization__query_weight=0.05,
    )
    found = {name: [round(value, 6) for value in curves.of(name)[:GOLDEN_STEPS]] for name in curves.columns}
    assert len(found["loss"]) == GOLDEN_STEPS
    if os.environ.get("RETORT_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert list(golden) == list(Curves().columns)
    for name, values in golden.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_loss_is_the_weighed_sum_of_its_parts(trained):
    curves, _, config = trained(
        objective__contrastive_weight=0.2, regularization__query="flops", regularization__query_weight=0.1
    )
    w = config.objective.contrastive_weight
    parts = [np.array(curves.of(name)) for name in ("kld", "contrastive", "regularization")]
    np.testing.assert_allclose(curves.of("loss"), (1 - w) * parts[0] + w * parts[1] + parts[2], rtol=1e-5)
    rates = curves.of("learning_rate")
    assert 0 < rates[-1] < rates[0] < max(rates) == config.training.learning_rate


@pytest.mark.parametrize("penalty", PENALTIES)
def test_accumulation_changes_nothing(trained, penalty):
    def run(accumulation):
        curves, student, _ = trained(
            training__accumulation=accumulation,
            training__dropout=0.0,
            objective__contrastive_weight=0.1,
            regularization__query=penalty,
            regularization__query_weight=PENALTIES[penalty],
        )
        return np.array(curves.rows), weights(student)

    whole, expected = run(1)
    for accumulation in (2, 4):
        parts, found = run(accumulation)
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-4)
        for name, value in expected.items():
            torch.testing.assert_close(
                found[name], value, rtol=1e-4, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}"
            )


OBJECTIVES = {
    "margins": {"objective__divergence": "margin_mse", "objective__contrastive_weight": 0.1},
    "representation": {"objective__divergence": "none", "objective__representation_weight": 0.1},
    "scheduled": {"objective__contrastive_weight": 0.5, "objective__contrastive_schedule": "linear"},
    "uncertainty": {"objective__contrastive_weight": 0.5, "objective__weighting": "uncertainty"},
    "gradient norm": {"objective__contrastive_weight": 0.5, "objective__weighting": "gradient_norm"},
    "deeper turns pay more": {
        "regularization__query": "flops",
        "regularization__query_weight": 0.05,
        "regularization__turn_exponent": 1.0,
    },
    "saturated": {
        "regularization__query": "expected_flops",
        "regularization__query_weight": 0.1,
        "regularization__saturation": 0.3,
    },
    "anti-zero": {"regularization__anti_zero_weight": 0.5},
    "budget": {
        "regularization__query": "expected_flops",
        "regularization__query_weight": 0.05,
        "regularization__flops_budget": 1.0,
    },
    "limits": {"regularization__max_terms": 6, "regularization__threshold": 0.1},
    "proportional": {"sampling__strategy": "proportional", "sampling__normalizer": "full"},
    "in batch": {"sampling__strategy": "in_batch", "objective__positive_weight": "balanced"},
    "student": {"sampling__strategy": "student", "sampling__window": [0, 40], "sampling__refresh_steps": 4},
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_accumulation_and_resuming_change_nothing_for_any_objective(trained, index, tmp_path, objective):
    changes = {"training__dropout": 0.0, "training__epochs": 1, "index": index} | OBJECTIVES[objective]
    curves, student, config = trained(**changes)
    parts, other, _ = trained(training__accumulation=2, **changes)
    folder = Workspace(tmp_path / "workspace", create=True).folder("state")

    def interrupt(stage, step, total, note=""):
        if step == 6:
            raise Interrupted

    with pytest.raises(Interrupted):
        trained(**changes, progress=interrupt, states=States(folder, seconds=0.0))
    resumed, _, _ = trained(**changes, states=States(folder))

    assert curves.columns == Curves.of_experiment(config).columns
    np.testing.assert_allclose(parts.rows, curves.rows, rtol=2e-4, atol=2e-4)
    for name, value in weights(student).items():
        torch.testing.assert_close(weights(other)[name], value, rtol=1e-4, atol=1e-4)
    assert resumed.rows == curves.rows


def test_objectives_train_other_students(trained, index):
    changes = {"training__dropout": 0.0, "training__epochs": 1, "index": index}
    curves = {name: trained(**changes, **own)[0] for name, own in {"plain": {}, **OBJECTIVES}.items()}
    last = {name: (its.of("kld")[-1], its.of("contrastive")[-1], its.of("L0")[-1]) for name, its in curves.items()}
    assert len(set(last.values())) == len(last), last
    assert max(curves["limits"].of("L0")) <= 6
    assert curves["scheduled"].of("weight_contrastive")[0] == 0 < curves["scheduled"].of("weight_contrastive")[-1]
    budget = curves["budget"].of("penalty_weight")
    assert len(set(budget)) > 1


def test_a_state_has_the_form_of_the_version_that_may_have_written_it(trained, tmp_path):
    folder = Workspace(tmp_path / "workspace", create=True).folder("state")
    trained(training__epochs=1, states=States(folder, seconds=0.0))
    state = torch.load(tmp_path / "workspace" / "state" / "state.pt", weights_only=True)
    # Version 0.1.0's: a training that it began goes on here.
    names = {"step", "student", "optimizer", "scaler", "adaptation", "student_rankings", "curves"}
    assert state.keys() == names and state["step"] == len(state["curves"])
    assert state["adaptation"].keys() == {"log_variances", "norms", "log_strength", "flops", "first_flops"}


class Ended(Exception):
    """What SIGTERM does to this process, by the handler that a test gives it."""


@pytest.fixture
def ends_on_sigterm():
    def end(number, frame):
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    yield end
    signal.signal(signal.SIGTERM, before)


def test_a_training_that_is_asked_to_end_writes_its_state_first(trained, tmp_path, ends_on_sigterm):
    changes = {"training__epochs": 1, "training__dropout": 0.1}
    curves, student, _ = trained(**changes)
    folder = Workspace(tmp_path / "workspace", create=True).folder("state")
    done = []

    def ask(stage, step, total, note=""):
        done.append(step)
        if step == 6:
            signal.raise_signal(signal.SIGTERM)

    # No state is due within the hour.
    with pytest.raises(Ended):
        trained(**changes, progress=ask, states=States(folder, seconds=3600.0))
    assert signal.getsignal(signal.SIGTERM) is ends_on_sigterm
    resumed, again, _ = trained(**changes, progress=lambda s, step, *_: done.append(step), states=States(folder))

    assert done == [*range(1, 7), *range(7, len(curves.rows) + 1)]
    assert resumed.rows == curves.rows
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(student).items())


def test_a_training_whose_machine_leaves_writes_its_state_at_once(trained, tmp_path):
    folder = Workspace(tmp_path / "workspace", create=True).folder("state")
    steps, asked = [], []

    def leaves():
        asked.append(len(steps))
        return len(steps) == 4

    trained(
        training__epochs=1,
        progress=lambda stage, step, *_: steps.append(step),
        states=States(folder, seconds=3600.0, leaving=leaves, leaving_seconds=0.0),
    )
    assert asked == steps
    assert torch.load(tmp_path / "workspace" / "state" / "state.pt", weights_only=True)["step"] == 4


@pytest.mark.parametrize("damage", ["zeros", "cut", "empty"])
def test_a_damaged_state_is_told_of_and_not_used(trained, tmp_path, caplog, damage):
    folder = Workspace(tmp_path / "workspace", create=True).folder("state")
    curves, _, _ = trained(training__epochs=1, states=States(folder, seconds=0.0))
    file = tmp_path / "workspace" / "state" / "state.pt"
    content = file.read_bytes()
    quarter = len(content) // 4
    zeroed = content[:quarter] + bytes(quarter) + content[2 * quarter :]
    file.write_bytes({"zeros": zeroed, "cut": content[:quarter], "empty": b""}[damage])
    again, _, _ = trained(training__epochs=1, states=States(folder, seconds=3600.0))
    assert again.rows == curves.rows
    (told,) = caplog.messages
    assert told == f"{file} is damaged and is not used: the training starts from its beginning"


class Interrupted(Exception):
    """Raised by a test in the middle of a training."""


def test_a_resumed_training_ends_in_the_same_weights_to_the_last_bit(trained, tmp_path):
    changes = {"training__epochs": 2, "objective__contrastive_weight": 0.1, "training__dropout": 0.1}
    curves, student, _ = trained(**changes)
    folder = Workspace(tmp_path / "workspace", create=True).folder("state")
    done = []

    def interrupt(stage, step, total, note=""):
        done.append(step)
        if step == 14:
            raise Interrupted

    with pytest.raises(Interrupted):
        trained(**changes, progress=interrupt, states=States(folder, seconds=0.0))
    resumed, again, _ = trained(**changes, progress=lambda s, step, *_: done.append(step), states=States(folder))

    # The state of step 13 was written before step 14 was told of.
    assert done == [*range(1, 15), *range(14, len(curves.rows) + 1)]
    assert resumed.rows == curves.rows
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(student).items())


def test_dropout_is_on_unless_it_is_set_to_zero(trained):
    first, second, other = (trained(training__dropout=p)[0].of("kld") for p in (0.1, 0.1, 0.0))
    assert first == second != other


def test_a_seed_changes_the_curves(trained):
    assert trained(training__seed=0)[0].rows != trained(training__seed=1)[0].rows


def test_the_loss_falls(trained):
    curves, _, _ = trained(training__epochs=4, training__dropout=0.0)
    for name in ("loss", "kld"):
        first, *_, last = np.array(curves.of(name)).reshape(4, -1).mean(axis=1)  # per epoch
        assert last < 0.9 * first


def test_divergence_is_an_error_with_a_way_out(trained):
    with pytest.raises(RunError, match=r"the loss of step \d+ is not finite .*lower training\.learning_rate"):
        trained(training__learning_rate=1e30, training__epochs=2)


def test_half_precision_without_a_gpu_is_refused(trained):
    with pytest.raises(ConfigError, match=r"training\.precision: fp16 needs a GPU"):
        trained(training__precision="fp16")
