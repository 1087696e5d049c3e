"""Numbers of trials: given once, never counted, each with one configuration and at most one result."""

import json

import pytest

from retort.errors import WorkspaceError
from retort.storage import Workspace
from retort.sweeps.proposals import next_number, open_proposals, propose, write_once
from retort.sweeps.sweep import read_trials, write_trial
from retort.sweeps.trial import TrialPoint


@pytest.fixture(params=["file", "memory"])
def folder(request, tmp_path):
    """A sweep's folder, here and on an object store."""
    url = tmp_path / "w" if request.param == "file" else f"memory://{tmp_path.name}"
    return Workspace(url, create=True).folder("sweeps/grid-01")


def config(count):
    return {"sampling.count": count}


def finished(number, count, retries=None):
    return TrialPoint(f"run-{count}", number, config(count), {"R@100": 0.5}, retries=retries)


def failed(number, count, retries=None):
    return TrialPoint(None, number, config(count), {}, status="failed", error="not finite", retries=retries)


def test_a_number_is_one_more_than_the_highest_whatever_is_missing(folder):
    for count in range(4):
        write_trial(folder, finished(propose(folder, next_number(folder), config(count)).trial, count))
    folder.workspace.fs.rm_file(folder.path("trials/0001.json"))

    assert next_number(folder) == 4
    (gap,) = open_proposals(folder)
    assert (gap.trial, gap.config, gap.retries) == ("0001", config(1), None)
    write_trial(folder, finished("0001", 1))
    assert open_proposals(folder) == [] and [point.trial for point in read_trials(folder)] == [
        f"000{n}" for n in range(4)
    ]


def test_the_gap_of_a_sweep_without_proposals_is_known_from_its_front_or_left_open(folder):
    for number in ("0000", "0002"):
        write_trial(folder, finished(number, int(number)))
    assert open_proposals(folder) == [] and next_number(folder) == 3
    trials = [finished(f"000{number}", number).to_json() for number in range(5)]
    folder.write_json("front.json", {"trials": trials})
    assert [(one.trial, one.config) for one in open_proposals(folder)] == [(f"000{n}", config(n)) for n in (1, 3, 4)]
    assert next_number(folder) == 5


def test_a_number_has_one_configuration_and_one_result(folder):
    write_trial(folder, finished(propose(folder, 0, config(1)).trial, 1))
    before = {name: folder.read_bytes(name) for name in ("trials/0000.json", "proposed/0000.json")}
    with pytest.raises(WorkspaceError, match=r"trials/0000\.json is there already and is not overwritten"):
        write_trial(folder, finished("0000", 2))
    with pytest.raises(WorkspaceError, match=r"proposed/0000\.json is there already"):
        propose(folder, 0, config(2))
    assert {name: folder.read_bytes(name) for name in before} == before


def test_what_appears_while_it_is_written_is_not_replaced(tmp_path):
    folder = Workspace(tmp_path / "w", create=True).folder("sweeps/grid-01")

    class Appearing(type(folder)):
        """Another process writes the same file just before this one's appears."""

        def write_json(self, file, value):
            super().write_json("trials/0000.json", "theirs")
            return super().write_json(file, value)

    with pytest.raises(WorkspaceError, match="is there already"):
        write_once(Appearing(folder.workspace, folder.name), "trials/0000.json", "ours")
    assert folder.read_json("trials/0000.json") == "theirs" and folder.workspace.names("sweeps/grid-01/trials") == [
        "0000.json"
    ]


def test_a_retried_trial_takes_the_place_of_the_failed_one_whose_file_stays(folder):
    write_trial(folder, failed("0000", 1))
    write_trial(folder, finished("0001", 2))
    propose(folder, 2, config(1), retries="0000")
    # Until the new attempt has ended, the failed one counts.
    assert [point.trial for point in read_trials(folder)] == ["0000", "0001"]
    write_trial(folder, failed("0002", 1, retries="0000"))
    assert [point.trial for point in read_trials(folder)] == ["0001", "0002"]
    write_trial(folder, finished("0003", 1, retries="0002"))
    assert [point.trial for point in read_trials(folder)] == ["0001", "0003"]
    assert json.loads(folder.read_bytes("trials/0000.json"))["error"] == "not finite"


def test_a_trial_that_retries_none_has_the_form_that_it_had(folder):
    document = finished("0000", 1).to_json()
    names = ["run", "trial", "config", "validation", "evaluation", "on_front", "status", "error", "seconds"]
    assert list(document) == names
