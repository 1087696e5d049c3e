"""The front and its area against hand arithmetic, inclusion-exclusion, counted cells and optuna."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.measures.pareto import front_order, hypervolume, log_flops_hypervolume, non_dominated

# Small integers: many ties and duplicates, and every area is exact in floating point.
PLANE = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8)
DIRECTIONS = st.tuples(st.booleans(), st.booleans())
REFERENCE = (5.0, 4.0)


def array(points, objectives=2):
    return np.array(points, dtype=np.float64).reshape(len(points), objectives)


def dominates(one, other, maximize):
    better = [a > b if up else a < b for a, b, up in zip(one, other, maximize, strict=True)]
    worse = [a < b if up else a > b for a, b, up in zip(one, other, maximize, strict=True)]
    return any(better) and not any(worse)


def area_by_inclusion_exclusion(points, reference, maximize):
    """Area of a union of rectangles with one common corner: the intersection of some is spanned by their worst."""
    spans = [
        [
            max(0.0, value - corner if up else corner - value)
            for value, corner, up in zip(point, reference, maximize, strict=True)
        ]
        for point in points
    ]
    return sum(
        (-1) ** (size + 1) * math.prod(min(sides) for sides in zip(*chosen, strict=True))
        for size in range(1, len(spans) + 1)
        for chosen in combinations(spans, size)
    )


def area_by_cells(points, reference, maximize):
    """Unit cells of the grid that some point dominates, told from the cell's centre."""
    centres = np.arange(-1, 11) + 0.5
    return sum(
        dominates((x, y), reference, maximize)
        and any(dominates(point, (x, y), maximize) for point in points)
        # A cell lies beyond the reference only if its centre is better in both objectives.
        and (x > reference[0]) == maximize[0]
        and (y > reference[1]) == maximize[1]
        for x in centres
        for y in centres
    )


def test_non_dominated_matches_a_hand_drawn_front():
    points = array([[0.70, 3.0], [0.80, 4.0], [0.75, 4.0], [0.80, 5.0], [0.60, 3.5], [0.80, 4.0], [0.50, 0.5]])

    assert non_dominated(points, (True, False)).tolist() == [True, True, False, False, False, False, True]
    assert front_order(points, (True, False)).tolist() == [6, 0, 1]


def test_one_objective_has_one_best_point():
    assert non_dominated(array([[1], [3], [2], [3]], 1), [True]).tolist() == [False, True, False, False]
    assert non_dominated(array([[1], [3], [2], [3]], 1), [False]).tolist() == [True, False, False, False]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@given(data=st.data())
def test_non_dominated_matches_its_definition(objectives, data):
    points = data.draw(st.lists(st.tuples(*[st.integers(0, 4)] * objectives), max_size=12))
    maximize = data.draw(st.tuples(*[st.booleans()] * objectives))
    mask = non_dominated(array(points, objectives), maximize)

    for position, point in enumerate(points):
        beaten = any(dominates(other, point, maximize) for other in points)
        assert mask[position] == (not beaten and point not in points[:position])


@given(points=PLANE, maximize=DIRECTIONS)
def test_along_the_front_one_objective_is_paid_for_with_the_other(points, maximize):
    front = array(points)[front_order(array(points), maximize)]

    assert (np.diff(front[:, 0]) > 0).all()
    second = np.diff(front[:, 1])
    assert (second < 0).all() if maximize[0] == maximize[1] else (second > 0).all()


def test_zero_and_negative_zero_are_one_point():
    assert non_dominated(np.array([[0.0, 1.0], [-0.0, 1.0]]), (True, False)).tolist() == [True, False]


def test_infinities_are_compared():
    points = np.array([[1.0, math.inf], [0.5, 1.0], [0.4, math.inf]])

    assert non_dominated(points, (True, False)).tolist() == [True, True, False]


def test_hypervolume_matches_hand_arithmetic():
    points = array([[0.8, 4.0], [0.6, 1.0], [0.7, 4.5]])  # the last is dominated

    # From FLOPS 5 down to 4 up to R@100 .8, and from 4 down to 1 up to .6.
    assert hypervolume(points, (0.5, 5.0), (True, False)) == pytest.approx(1 * 0.3 + 3 * 0.1)
    assert hypervolume(points[:0], (0.5, 5.0), (True, False)) == 0


def test_points_that_are_not_better_than_the_reference_contribute_nothing():
    inside = [[0.8, 4.0]]
    outside = [[0.5, 1.0], [0.9, 5.0], [0.4, 0.1], [0.99, 9.0], [-math.inf, 0.0]]

    assert hypervolume(array(outside), (0.5, 5.0), (True, False)) == 0
    assert hypervolume(array(inside + outside), (0.5, 5.0), (True, False)) == pytest.approx(0.3)


@given(points=PLANE, maximize=DIRECTIONS)
def test_hypervolume_matches_inclusion_exclusion_and_counted_cells(points, maximize):
    area = hypervolume(array(points), REFERENCE, maximize)

    assert area == area_by_inclusion_exclusion(points, REFERENCE, maximize)
    # The grid ends at -1 and 11, beyond every point, so that no cell is missed.
    assert area == area_by_cells(points, REFERENCE, maximize)


@given(seed=st.integers(0, 10_000), size=st.integers(1, 30))
def test_hypervolume_matches_optuna(seed, size):
    # Private, but an implementation that shares nothing with ours.
    from optuna._hypervolume import compute_hypervolume

    recall, cost = np.random.default_rng(seed).random((2, size))
    reference = np.array([-0.2, 0.9])
    losses = np.column_stack([-recall, cost])
    inside = losses[(losses <= reference).all(axis=1)]

    expected = compute_hypervolume(inside, reference)
    assert hypervolume(np.column_stack([recall, cost]), (0.2, 0.9), (True, False)) == pytest.approx(expected, abs=1e-12)


@given(points=PLANE, more=st.tuples(st.integers(0, 9), st.integers(0, 9)), maximize=DIRECTIONS)
def test_adding_a_point_never_lowers_the_hypervolume(points, more, maximize):
    assert hypervolume(array([*points, more]), REFERENCE, maximize) >= hypervolume(array(points), REFERENCE, maximize)


@given(points=PLANE, maximize=DIRECTIONS, data=st.data())
def test_the_order_of_the_points_does_not_matter(points, maximize, data):
    shuffled = data.draw(st.permutations(points))

    assert hypervolume(array(shuffled), REFERENCE, maximize) == hypervolume(array(points), REFERENCE, maximize)
    fronts = [array(some)[front_order(array(some), maximize)].tolist() for some in (points, shuffled)]
    assert fronts[0] == fronts[1]


def test_log_flops_hypervolume_matches_hand_arithmetic():
    recall, cost = np.array([0.8, 0.7]), np.array([1.0, 0.1])

    # Reference .5 at FLOPS 10: one decade down to 1 at height .3, and one more down to .1 at height .2.
    area = log_flops_hypervolume(recall, cost, recall_reference=0.5, flops_reference=10.0)
    assert area == pytest.approx(0.3 + 0.2)


def test_flops_below_the_floor_count_as_the_floor():
    def area(cost: float) -> float:
        return log_flops_hypervolume(
            np.array([0.8]), np.array([cost]), recall_reference=0.5, flops_reference=10.0, flops_floor=0.1
        )

    assert area(0.0) == area(0.001) == area(0.1) == pytest.approx(0.3 * 2)
    assert area(0.2) < area(0.1)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100)), max_size=8), st.floats(0.1, 10))
def test_the_area_does_not_depend_on_the_unit_of_flops(runs, unit):
    recall, cost = array(runs).T
    areas = [
        log_flops_hypervolume(recall, cost * u, recall_reference=0.2, flops_reference=20 * u, flops_floor=0.05 * u)
        for u in (1.0, unit)
    ]

    assert areas[0] == pytest.approx(areas[1], abs=1e-9)


def test_mistakes_are_refused_with_the_value_got():
    plane = array([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=r"point 1 is \[3.0, nan\]: NaN can't be compared"):
        non_dominated(np.array([[1.0, 2.0], [3.0, math.nan]]), (True, False))
    with pytest.raises(ValueError, match="NaN can't be compared"):
        hypervolume(plane, (math.nan, 1.0), (True, False))
    with pytest.raises(ValueError, match=r"\(2, 2\) and 3 directions"):
        non_dominated(plane, (True, False, True))
    with pytest.raises(ValueError, match="exact for 2 objectives, got 3"):
        hypervolume(np.zeros((1, 3)), (0, 0, 0), (True, True, True))
    with pytest.raises(ValueError, match=r"reference point must be finite, got \[0.0, inf\]"):
        hypervolume(plane, (0.0, math.inf), (True, False))
    with pytest.raises(ValueError, match="infinitely good"):
        hypervolume(np.array([[1.0, -math.inf]]), (0.0, 1.0), (True, False))


def test_log_flops_hypervolume_refuses_other_units():
    def area(recall, cost, **changes):
        settings = {"recall_reference": 0.5, "flops_reference": 10.0} | changes
        return log_flops_hypervolume(np.array(recall), np.array(cost), **settings)

    with pytest.raises(ValueError, match=r"share in \[0, 1\], got \[87.9\]"):
        area([87.9], [1.0])
    with pytest.raises(ValueError, match=r"share in \[0, 1\], got \[nan\]"):
        area([math.nan], [1.0])
    with pytest.raises(ValueError, match=r"FLOPS must be 0 or more, got \[nan\]"):
        area([0.8], [math.nan])
    with pytest.raises(ValueError, match="FLOPS must be 0 or more"):
        area([0.8], [-1.0])
    with pytest.raises(ValueError, match=r"\(1,\) and \(2,\)"):
        area([0.8], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"above flops_floor, and the floor above 0; got 0.05 and 0.05"):
        area([0.8], [1.0], flops_reference=0.05)
    with pytest.raises(ValueError, match=r"got 10.0 and 0"):
        area([0.8], [1.0], flops_floor=0)
