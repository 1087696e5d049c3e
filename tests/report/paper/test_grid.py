"""A grid's rows and differences: by hand where four turns and two seeds suffice, and by the tests that stand a floor below."""

import numpy as np
import pytest

from retort.errors import InputError
from retort.measures.significance import bonferroni, holm, paired_t_test, randomization_test
from retort.report.paper.grid import SeededRun, Turns, by_turn, compare_rows, grid_rows, seed_mean, turn_groups

TURNS = Turns(("a_1", "a_2", "b_1", "b_2"), ("a", "a", "b", "b"), (1, 2, 1, 2))


def run(weight, seed, values, measure="RR"):
    return SeededRun(f"w{weight}-s{seed}", {"w": weight}, seed, {measure: np.array(values, dtype=np.float64)})


def test_a_row_is_the_mean_over_turns_and_seeds_with_the_spread_between_seeds():
    first, second = grid_rows([run(0.0, 1, [1, 1, 1, 1]), run(0.1, 0, [0, 0, 1, 1]), run(0.0, 0, [0, 1, 0, 1])])

    # Seeds' means .5 and 1: mean .75, standard deviation (n - 1) sqrt(.125).
    assert (first.label, first.seeds, first.means["RR"]) == ("0", (0, 1), 0.75)
    assert first.deviations["RR"] == pytest.approx(np.sqrt(0.125))
    assert (second.label, second.seeds, second.means["RR"], second.deviations["RR"]) == ("0.1", (0,), 0.5, None)
    np.testing.assert_array_equal(seed_mean(first, "RR"), [0.5, 1, 0.5, 1])
    np.testing.assert_array_equal(seed_mean(first, "RR", [0]), [0, 1, 0, 1])


def test_settings_that_differ_in_kind_alone_are_different_rows():
    assert len(grid_rows([run(True, 0, [1] * 4), run(1, 0, [1] * 4)])) == 2


def test_rows_are_told_apart_by_as_many_digits_as_it_takes():
    assert [row.label for row in grid_rows([run(0.03, 0, [1]), run(0.1, 0, [1])])] == ["0.03", "0.1"]
    assert [row.label for row in grid_rows([run(0.03001, 0, [1]), run(0.03, 0, [1])])] == ["0.03001", "0.03"]


def test_differences_are_paired_by_turn_after_averaging_over_shared_seeds():
    rows = grid_rows(
        [
            *(run(0.0, 0, [0, 0.5, 1, 0]), run(0.0, 1, [0, 0.5, 1, 0])),
            *(run(0.1, 0, [1, 1, 1, 0]), run(0.1, 1, [1, 1, 1, 1])),
            *(run(0.2, 1, [0, 0, 1, 0]), run(0.2, 7, [1, 1, 1, 1])),
            run(0.3, 9, [1, 1, 1, 1]),
        ]
    )
    better, worse = compare_rows(rows, rows[0], TURNS, ["RR"])

    # Averaged over the seeds: 1, 1, 1, .5 less 0, .5, 1, 0 is 1, .5, 0, .5, a third more than the baseline's .375.
    assert (better.row, better.seeds, better.difference) == ("0.1", 2, 0.5)
    assert better.relative == pytest.approx(0.5 / 0.375)
    # By conversation: a has 1.5 over two turns, b .5; resamples a a, a b, b b.
    assert better.interval == (0.25, 0.75)
    # Of the 8 signs of three differences that are not 0, +++ and --- are as far from 0.
    assert better.paired.randomization.p == pytest.approx(2 / 8)
    # Only seed 1 is the baseline's too; a row without a shared seed is not compared at all.
    assert (worse.row, worse.seeds, worse.difference) == ("0.2", 1, -0.125)


def test_p_is_corrected_over_the_rows_of_a_measure():
    generator = np.random.default_rng(0)
    turns = Turns(tuple(map(str, range(60))), tuple(str(turn // 6) for turn in range(60)), (1,) * 60)
    values = {0.0: generator.random(60)} | {
        w: generator.random(60) + gain for w, gain in ((0.1, 0.02), (0.2, 0.2), (0.3, 0.1))
    }
    rows = grid_rows([run(w, 0, one) for w, one in values.items()])
    found = compare_rows(rows, rows[0], turns, ["RR"])

    for test, attribute in ((paired_t_test, "t_test"), (randomization_test, "randomization")):
        plain = [test(values[w], values[0.0]) for w in (0.1, 0.2, 0.3)]
        tests = [getattr(one.paired, attribute) for one in found]
        np.testing.assert_allclose([one.p for one in tests], plain)
        np.testing.assert_allclose([one.holm for one in tests], holm(plain))
        np.testing.assert_allclose([one.bonferroni for one in tests], bonferroni(plain))
    assert all(one.p == max(one.paired.t_test.p, one.paired.randomization.p) for one in found)


def test_the_deepest_turns_are_one_group_where_they_are_few():
    numbers = [1] * 10 + [2] * 10 + [3] * 6 + [4] * 3 + [7]
    groups = turn_groups(numbers)

    assert {label: len(places) for label, places in groups.items()} == {"1": 10, "2": 10, "3+": 10}
    assert turn_groups([2, 1, 2], least=2) == {"1": [1], "2": [0, 2]}
    assert turn_groups([1, 2], least=10) == {"1+": [0, 1]}
    assert turn_groups([]) == {}


def test_by_turn_is_the_mean_over_a_groups_turns_and_over_seeds():
    turns = Turns(tuple(map(str, range(40))), ("a",) * 20 + ("b",) * 20, (1, 2) * 20)
    (row,) = grid_rows([run(0, 0, [0, 1] * 20, "L0"), run(0, 1, [1, 5] * 20, "L0")])

    assert by_turn(row, turns, "L0") == {"1": 0.5, "2": 3.0}


def test_a_single_conversation_has_no_interval():
    rows = grid_rows([run(0, 0, [0, 1]), run(1, 0, [1, 1])])
    (one,) = compare_rows(rows, rows[0], Turns(("a_1", "a_2"), ("a", "a"), (1, 2)), ["RR"])
    assert one.interval is None and one.difference == 0.5


def test_what_cannot_be_a_grid_is_refused():
    with pytest.raises(InputError, match="no finished trial"):
        grid_rows([])
    with pytest.raises(InputError, match=r"the setting 0.1 has a seed twice: w0.1-s3, w0.1-s3"):
        grid_rows([run(0.1, 3, [1]), run(0.1, 3, [1])])
    rows = grid_rows([run(0, 0, [0]), run(1, 0, [1])])
    with pytest.raises(InputError, match="2 turns or more"):
        compare_rows(rows, rows[0], Turns(("a",), ("a",), (1,)), ["RR"])
