"""The records that the report's tests write by hand hold what those of a real workspace hold, and no other keys."""

import json
from pathlib import Path

import pytest

REAL = Path(__file__).parents[1] / "assets" / "workspace-0.1" / "workspace"
# What this version writes and 0.1.0 did not: a trial keeps every measure, whatever a table shows of it.
LATER = {"Judged@10", "sha256"}  # what records of 0.1 had not yet


def read(root: Path, pattern: str) -> dict:
    return json.loads(sorted(root.glob(pattern))[0].read_text(encoding="utf-8"))


def keys(value: object) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


@pytest.mark.parametrize("pattern", ["runs/*/evaluations/*dev-exact-*", "baselines/context/*dev-exact-*"])
def test_an_evaluation(plain_sweep, pattern):
    plain, real = (read(root, f"{pattern}/record.json") for root in (plain_sweep, REAL))
    assert plain.keys() - LATER == real.keys()
    assert (plain["stage"], plain["version"]) == (real["stage"], real["version"])
    assert keys(plain["counts"]) == keys(real["counts"])
    # A baseline's record says how it was made, which no report asks; those that one asks are there.
    assert {"split", "engine", "top_k"} <= keys(plain["config"]) <= keys(real["config"])
    assert {"turns", "judgements", "vectors"} <= keys(plain["inputs"]) <= keys(real["inputs"])
    measures, recorded = (read(root, f"{pattern}/measures.json") for root in (plain_sweep, REAL))
    assert measures.keys() == recorded.keys()
    assert keys(measures["by_turn"]["1"]) == keys(recorded["by_turn"]["1"])


def test_a_sweep_and_its_trials(plain_sweep):
    for name in ("record.json", "front.json", "sweep.json"):
        plain, real = (read(root, f"sweeps/*/{name}") for root in (plain_sweep, REAL))
        assert plain.keys() - LATER == real.keys(), name
    plain, real = (read(root, "sweeps/*/front.json") for root in (plain_sweep, REAL))
    for part in ("validation", "evaluation", "seconds"):
        ours, theirs = (next(t for t in front["trials"] if t["on_front"])[part] for front in (plain, real))
        assert keys(ours) - LATER == keys(theirs) - LATER, part
    assert keys(plain["trials"][0]) == keys(real["trials"][0])
    assert keys(plain["front"][0]) == keys(real["front"][0])
    assert keys(plain["baselines"]["baseline:context"]) == keys(real["baselines"]["baseline:context"])
    assert keys(read(plain_sweep, "sweeps/*/trials/0000.json")) == keys(read(REAL, "sweeps/*/trials/0000.json"))
    settings, recorded = (read(root, "sweeps/*/sweep.json")["settings"] for root in (plain_sweep, REAL))
    assert keys(settings) == keys(recorded)
