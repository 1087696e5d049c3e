"""What only the tracker in memory shows: curves and artifacts as they were given."""

from retort.tracking import MemoryTracker


def test_it_keeps_curves_artifacts_and_notes(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "front.png").write_bytes(b"png")
    (tmp_path / "run.trec").write_text("q1 Q0 d1 1 0.5 retort\n")

    run = MemoryTracker().start("run")
    run.log_curves({"R@100": [(1, 0.5), (2, 0.6)]})
    run.log_artifact(tmp_path / "run.trec", "evaluations")
    run.log_artifacts(tmp_path / "plots", "plots")
    run.set_note("a note")

    assert run.curves == {"R@100": [(1, 0.5), (2, 0.6)]}
    assert run.artifacts == {"evaluations/run.trec": b"q1 Q0 d1 1 0.5 retort\n", "plots/front.png": b"png"}
    assert run.note == "a note"


def test_two_trackers_share_nothing():
    MemoryTracker().start("run")

    assert MemoryTracker().find() == []
