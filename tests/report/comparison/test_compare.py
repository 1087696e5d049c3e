"""Comparisons: by hand where four turns suffice, and by the tests that stand one floor below."""

import itertools

import numpy as np
import pytest
from scipy import stats

from retort.errors import InputError
from retort.measures.significance import randomization_test
from retort.report.comparison.compare import ComparisonRow, compare
from retort.report.comparison.tables import compare_table
from retort.report.render.terminal import terminal_text

CONVERSATIONS = {"a_1": "a", "a_2": "a", "b_1": "b", "b_2": "b"}


def runs(**values):
    return {
        run: dict(zip(CONVERSATIONS, ({"R@100": v} for v in column), strict=True)) for run, column in values.items()
    }


def test_four_turns_by_hand():
    per_turn = runs(base=[0.0, 0.5, 1.0, 0.0], student=[1.0, 1.0, 1.0, 0.5])

    base, student = compare(per_turn, CONVERSATIONS, "base", ["R@100"])

    assert base == ComparisonRow("base", "R@100", 4, 0.375)
    assert (student.run, student.n, student.mean, student.difference) == ("student", 4, 0.875, 0.5)
    assert (student.wins, student.ties, student.losses) == (3, 1, 0)
    # Differences 1, .5, 0, .5: of the 8 signs of the three that are not 0 only +++ and --- are as far from 0.
    assert student.randomization_p == pytest.approx(2 / 8)
    # Mean .5, standard deviation sqrt(1/6), t = .5 * 2 / sqrt(1/6) = sqrt(6), 3 degrees.
    assert student.t_test_p == pytest.approx(2 * stats.t.sf(6**0.5, 3))
    # Conversation a gains .75 a turn and b .25: every resample's mean is .25, .5 or .75.
    assert student.interval == (pytest.approx(0.25), pytest.approx(0.75))


def test_p_is_corrected_over_the_runs_of_a_measure():
    random = np.random.default_rng(0)
    conversations = {f"q{n}": f"c{n // 5}" for n in range(60)}
    noise = {
        run: random.normal(size=60) + shift for run, shift in {"base": 0, "good": 0.7, "fair": 0.3, "same": 0}.items()
    }
    per_turn = {
        run: {q: {"RR": float(v), "n": 1.0} for q, v in zip(conversations, vs, strict=True)}
        for run, vs in noise.items()
    }

    rows = {row.run: row for row in compare(per_turn, conversations, "base", ["RR"])}

    raw = {run: stats.ttest_rel(noise[run], noise["base"]).pvalue for run in ("good", "fair", "same")}
    smallest, middle, largest = sorted(raw, key=raw.__getitem__)
    assert rows[smallest].t_test_p == pytest.approx(3 * raw[smallest])
    assert rows[middle].t_test_p == pytest.approx(max(3 * raw[smallest], min(1, 2 * raw[middle])))
    assert rows[largest].t_test_p == pytest.approx(max(rows[middle].t_test_p, raw[largest]))
    assert all(row.t_test_p >= raw[run] for run, row in rows.items() if run != "base")


def test_bonferroni_stands_beside_holm():
    random = np.random.default_rng(1)
    conversations = {f"q{n:02}": f"c{n // 4}" for n in range(40)}
    shifts = {"base": 0.0, "good": 0.5, "fair": 0.25, "same": 0.0}
    values = {run: random.normal(size=40) + shift for run, shift in shifts.items()}
    per_turn = {
        run: {q: {"RR": float(v)} for q, v in zip(conversations, vs, strict=True)} for run, vs in values.items()
    }

    rows = {row.run: row for row in compare(per_turn, conversations, "base", ["RR"])}

    for run in ("good", "fair", "same"):
        row = rows[run]
        t_test = stats.ttest_rel(values[run], values["base"]).pvalue
        assert row.t_test_p_bonferroni == pytest.approx(min(1, 3 * t_test))
        randomization = randomization_test(values[run], values["base"])
        assert row.randomization_p_bonferroni == pytest.approx(min(1, 3 * randomization))
        assert row.t_test_p <= row.t_test_p_bonferroni and row.randomization_p <= row.randomization_p_bonferroni
    assert min(row.t_test_p for row in rows.values() if row.run != "base") == min(
        row.t_test_p_bonferroni for row in rows.values() if row.run != "base"
    )


def test_a_run_without_costs_is_compared_on_the_rest():
    per_turn = {
        "base": {q: {"RR": 0.5, "FLOPS": 2.0} for q in CONVERSATIONS},
        "theirs": {q: {"RR": 1.0} for q in CONVERSATIONS},
        "student": {q: {"RR": 0.5, "FLOPS": 1.0} for q in CONVERSATIONS},
    }

    rows = {(row.run, row.measure): row for row in compare(per_turn, CONVERSATIONS, "base", ["RR", "FLOPS"])}

    assert rows["theirs", "FLOPS"] == ComparisonRow("theirs", "FLOPS", 4, None)
    assert rows["theirs", "RR"].difference == 0.5
    # The student alone is compared on FLOPS: its p is not multiplied by two.
    assert rows["student", "FLOPS"].randomization_p == rows["student", "FLOPS"].randomization_p_bonferroni == 2 / 16
    table = terminal_text(compare_table(list(rows.values())), 100).plain
    (line,) = [line for line in table.split("FLOPS")[1].splitlines() if "theirs" in line]
    assert line.split() == ["theirs", *"--------"]


def test_a_baseline_without_costs_leaves_the_others_means():
    per_turn = {
        "theirs": {q: {"RR": 1.0} for q in CONVERSATIONS},
        "ours": {q: {"RR": 1.0, "L0": 3.0} for q in CONVERSATIONS},
    }

    rows = compare(per_turn, CONVERSATIONS, "theirs", ["L0"])

    assert [(row.mean, row.difference) for row in rows] == [(None, None), (3.0, None)]


def test_order_of_turns_and_seed_change_nothing_that_they_should_not():
    per_turn = runs(base=[0.0, 0.5, 1.0, 0.0], student=[1.0, 0.0, 1.0, 0.5])
    shuffled = {run: dict(reversed(turns.items())) for run, turns in per_turn.items()}

    assert compare(per_turn, CONVERSATIONS, "base", ["R@100"]) == compare(shuffled, CONVERSATIONS, "base", ["R@100"])


def test_of_costs_less_is_a_win():
    per_turn = {
        "base": {q: {"FLOPS": 2.0} for q in CONVERSATIONS},
        "sparse": {q: {"FLOPS": 1.0 + n} for n, q in enumerate(CONVERSATIONS)},
    }

    _, sparse = compare(per_turn, CONVERSATIONS, "base", ["FLOPS"])

    assert (sparse.wins, sparse.ties, sparse.losses) == (1, 1, 2)
    assert sparse.difference == 0.5


def test_rows_come_by_measure_with_the_baseline_first():
    per_turn = {run: {q: {"RR": 0.1, "R@10": 0.2} for q in CONVERSATIONS} for run in ("x", "base", "y")}
    rows = compare(per_turn, CONVERSATIONS, "base", ["RR", "R@10"])

    assert [(row.measure, row.run) for row in rows] == list(itertools.product(["RR", "R@10"], ["base", "x", "y"]))
    assert rows[1].t_test_p == rows[1].randomization_p == 1


def test_one_conversation_has_no_interval():
    per_turn = runs(base=[0.0, 0.5, 1.0, 0.0], student=[1.0, 1.0, 1.0, 0.5])
    rows = compare(per_turn, dict.fromkeys(CONVERSATIONS, "only"), "base", ["R@100"])

    assert rows[1].interval is None
    assert rows[1].difference == 0.5


def test_turns_that_a_run_lacks_are_named_all_at_once():
    per_turn = runs(base=[0.0, 0.5, 1.0, 0.0], student=[1.0, 1.0, 1.0, 0.5])
    del per_turn["base"]["a_2"]
    per_turn["student"]["b_1"] = {"RR": 1.0}
    per_turn["student"]["z_9"] = {"R@100": 1.0}

    with pytest.raises(InputError) as caught:
        compare(per_turn, CONVERSATIONS, "base", ["R@100"])

    message = str(caught.value)
    assert "base lacks 2 turns (a_2, z_9)" in message
    assert "student lacks R@100 for 1 turn (b_1)" in message
    assert "the conversation is unknown of 1 turn (z_9)" in message


def test_many_missing_turns_are_counted():
    per_turn = {"base": {f"q{n:02}": {"RR": 1.0} for n in range(30)}, "student": {"q00": {"RR": 1.0}}}

    with pytest.raises(InputError, match=r"student lacks 29 turns \(q01, .*q10 and 19 more\)"):
        compare(per_turn, {f"q{n:02}": "c" for n in range(30)}, "base", ["RR"])


def test_an_unknown_baseline_names_the_runs():
    with pytest.raises(InputError, match="baseline nobody is not among the runs: base, student"):
        compare(runs(base=[0] * 4, student=[1] * 4), CONVERSATIONS, "nobody", ["R@100"])


@pytest.mark.parametrize(("several", "width"), [(False, 80), (True, 80), (True, 100), (True, 140), (True, None)])
def test_the_table_has_all_figures_and_whole_names(several, width):
    long = "informative-minilm-w0.1-n32-expectedflops0.003-pruned4-s0-1a2b3c4d5e"
    per_turn = {
        "baseline:rewrite:informative": {q: {"R@100": 0.0, "FLOPS": 2.0} for q in CONVERSATIONS},
        long: {q: {"R@100": 1.0, "FLOPS": 0.2} for q in CONVERSATIONS},
    } | ({"bm25.trec": {q: {"R@100": 0.5} for q in CONVERSATIONS}} if several else {})
    rows = compare(per_turn, CONVERSATIONS, "baseline:rewrite:informative", ["R@100", "FLOPS"])
    lines = terminal_text(compare_table(rows), width).plain.splitlines()
    text = "\n".join(lines)

    assert (width is None or max(map(len, lines)) <= width) and all(line == line.rstrip() for line in lines)
    assert text.count(long) == 2 and "baseline:rewrite:informative" in text
    assert "+1.000" in text and "-1.800" in text and "[+1.000, +1.000]" in text and "4/0/0" in text
    assert "<0.001" in text and ("0.250" in text if several else "0.125" in text) and "n = 4 turns" in text
    left = [line for line in lines if line.startswith("not shown")]
    assert left == []
