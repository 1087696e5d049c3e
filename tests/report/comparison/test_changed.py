"""Which turns changed most."""

from retort.report.comparison.changed import most_changed


def values(measure, **by_turn):
    return {query_id: {measure: own, "RR": reciprocal} for query_id, (own, reciprocal) in by_turn.items()}


BASE = values("R@100", a=(0.0, 0.1), b=(0.5, 0.5), c=(1.0, 1.0), d=(0.0, 0.0), e=(1.0, 0.5))


def test_wins_and_losses_come_apart_the_greatest_change_first():
    run = values("R@100", a=(0.5, 0.1), b=(0.5, 0.9), c=(0.0, 0.0), d=(1.0, 0.2), e=(0.9, 0.5))
    assert most_changed(run, BASE, "R@100", count=5) == {"win": (["d", "a"], 2), "loss": (["c", "e"], 2)}


def test_no_more_than_asked_for_and_how_many_there_are():
    run = {query_id: {"R@100": 2.0, "RR": 1.0} for query_id in BASE}
    assert most_changed(run, BASE, "R@100", count=2)["win"] == (["d", "a"], 5)


def test_among_equal_changes_reciprocal_rank_decides():
    run = values("R@100", a=(0.0, 0.1), b=(0.5, 0.5), c=(0.5, 0.2), d=(0.0, 0.0), e=(0.5, 0.4))
    assert most_changed(run, BASE, "R@100", count=5)["loss"] == (["c", "e"], 2)


def test_lower_costs_win_and_rounding_is_no_change():
    base = {"a": {"FLOPS": 2.0, "RR": 0.0}, "b": {"FLOPS": 0.3, "RR": 0.0}}
    run = {"a": {"FLOPS": 1.0, "RR": 0.0}, "b": {"FLOPS": 0.1 + 0.2, "RR": 0.0}}
    assert most_changed(run, base, "FLOPS", count=5) == {"win": (["a"], 1), "loss": ([], 0)}
