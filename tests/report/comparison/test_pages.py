"""A comparison as text: the same figures in every format, the best bold, significance marked."""

import csv
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from retort.naming import Named
from retort.records import Message
from retort.report.comparison.changed import ChangedTurn, Judged, Placed
from retort.report.comparison.compare import compare
from retort.report.comparison.groups import compare_groups
from retort.report.comparison.pages import comparison_text
from retort.report.comparison.runs import Comparison
from retort.report.comparison.systems import System

CONVERSATIONS = {f"{c}_{n}": c for c in "abcdefghij" for n in (1, 2, 3)}
LONG = "lexical-minilm-expectedflops0.3-s0-1f3a9c2d"


def comparison(*, others=("good_one", "same"), changed=False):
    random = np.random.default_rng(0)
    base = {q: {"R@100": 0.25 + 0.1 * random.random(), "FLOPS": 2.0} for q in CONVERSATIONS}
    known = {
        LONG: base,
        "good_one": {q: {"R@100": v["R@100"] + 0.4 + 0.1 * random.random(), "FLOPS": 1.0} for q, v in base.items()},
        "same": {q: {"R@100": v["R@100"]} for q, v in base.items()},  # another system's: no FLOPS
    }
    per_turn = {label: known[label] for label in (LONG, *others)}
    kinds = {LONG: "run", "good_one": "run", "same": "file"}
    systems = [
        System(Named(label, kinds[label], label), f"runs/{label}", turns, notes=("has | a note",) * (label == "same"))
        for label, turns in per_turn.items()
    ]
    halves = {"x|y_z": list(CONVERSATIONS)[:15], "(none)": list(CONVERSATIONS)[15:]}
    turn = ChangedTurn(
        run="good_one",
        baseline=LONG,
        outcome="win",
        number=1,
        of=3,
        measure="R@100",
        before=0.25,
        after=1.0,
        query_id="a_1",
        conversation_id="a",
        turn_number=1,
        attributes={"domain": "law"},
        history=(Message("user", "What is *it*? " + "word " * 100),),
        question="And <this>?",
        rewrites={"human": "And this dog?"},
        relevant=(Judged("d1", 2, "Dogs", "A dog | barks.", None, 7),),
        baseline_top=(Placed(1, "d2", 0, "", "A cat."), Placed(2, "d3", None, "Birds", "A bird sings.")),
        top=(Placed(1, "d1", 2, "Dogs", "A dog | barks."),),
    )
    return Comparison(
        split="dev",
        turns=30,
        conversations=10,
        systems=tuple(systems),
        rows=tuple(compare(per_turn, CONVERSATIONS, LONG, ["R@100", "FLOPS"])),
        groups=tuple(compare_groups(per_turn, CONVERSATIONS, LONG, "R@100", halves, by="kind")),
        changed=(turn,) if changed else (),
    )


def test_csv_has_every_figure_on_a_line_of_its_own():
    found = comparison()
    rows = list(csv.DictReader(io.StringIO(comparison_text(found, "csv"))))

    assert len(rows) == len(found.rows) + len(found.groups) == 6 + 4
    by_place = {(row["by"], row["group"], row["run"], row["measure"]): row for row in rows}
    good = by_place["", "", "good_one", "R@100"]
    expected = next(row for row in found.rows if (row.run, row.measure) == ("good_one", "R@100"))
    assert float(good["difference"]) == expected.difference
    assert (float(good["interval_low"]), float(good["interval_high"])) == expected.interval
    assert float(good["randomization_p_bonferroni"]) == expected.randomization_p_bonferroni
    assert (good["wins"], good["ties"], good["losses"], good["conversations"]) == ("30", "0", "0", "10")
    assert by_place["", "", "same", "FLOPS"]["mean"] == by_place["", "", "same", "FLOPS"]["difference"] == ""
    assert by_place["kind", "x|y_z", "good_one", "R@100"]["n"] == "15"


def test_json_is_what_the_values_are():
    found = comparison(changed=True)
    document = json.loads(comparison_text(found, "json"))

    assert document["baseline"] == LONG and [one["name"] for one in document["systems"]] == [LONG, "good_one", "same"]
    assert len(document["rows"]) == 6 and len(document["groups"]) == 4
    assert document["changed"][0]["relevant"][0]["rank"] == 7
    assert document["systems"][2]["notes"] == ["has | a note"]


def test_latex_bolds_the_best_and_explains_its_marks():
    lines = comparison_text(comparison(), "latex").splitlines()
    good = next(line for line in lines if r"good\_one &" in line)
    baseline = next(line for line in lines if "(baseline) &" in line)

    # Every turn gains: the smallest p that 10000 draws give, which Bonferroni's correction does not lift to .05.
    assert re.search(r"& \\textbf\{0\.7\d\d\}\$\^\{\\ddagger\}\$ & \\textbf\{1\.00\}\$\^\{\\ddagger\}\$ \\\\$", good)
    assert "textbf" not in baseline and "dagger" not in baseline
    theirs = next(line for line in lines if "same &" in line)
    assert re.search(r"same & 0\.\d\d\d & - \\\\$", theirs)
    caption = next(line for line in lines if "caption" in line)
    assert r"$^{\dagger}$: differs from" in caption and r"$^{\ddagger}$: after Bonferroni's too" in caption
    assert "$p < 0.05$" in caption and "30 turns of 10 conversations" in caption
    heading = next(place for place, line in enumerate(lines) if r"x\textbar{}y\_z: 15 turns of 5 conversations" in line)
    assert lines[heading].strip().startswith(r"\multicolumn{4}{l}{\emph{") and "(baseline) &" in lines[heading + 1]
    assert re.search(
        r"good\\_one & 0\.7\d\d & \$\+0\.4\d\d\$ & \{\[\}\$\+0\.\d+\$, \$\+0\.\d+\$\] \\\\$", lines[heading + 2]
    )


def test_one_comparison_needs_no_correction():
    text = comparison_text(comparison(others=("good_one",)), "latex")
    assert r"$^{\dagger}$" in text and "ddagger" not in text and "Holm" not in text


def test_markdown_has_tables_of_equal_rows_and_nothing_that_is_markup():
    text = comparison_text(comparison(changed=True), "markdown")

    tables = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 3 + 4  # all runs, all differences, one of groups; and four of the turn
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1
    assert "**0.7" in text and "‡" in text and r"good\_one" in text
    assert r"What is \*it\*?" in text and r"\<this\>" in text and "word…" in text
    assert "| Dogs: A dog \\| barks. | - | 7 |" in text
    assert "| 1 | 0 | A cat. |" in text and "| 2 | - | Birds: A bird sings. |" in text
    assert r"- same: has \| a note" in text


@pytest.mark.parametrize("width", [80, 140, None])
def test_the_terminals_text_is_as_wide_as_columns_says(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width or ""))
    lines = comparison_text(comparison(changed=True), "terminal").splitlines()
    text = "\n".join(lines)

    assert all(line == line.rstrip() for line in lines) and (width is None or max(map(len, lines)) <= width)
    assert LONG in text and "same: has | a note" in text and "not shown" not in text
    assert f"good_one is better than {LONG}, 1 of 3" in " ".join(text.split())
    assert re.search(r"^R@100 +0.250 -> 1.000$", text, re.MULTILINE)
    relevant = next(line for line in lines if "A dog | barks." in line and line.endswith("7"))
    assert relevant.split()[-2:] == ["-", "7"]
    assert re.search(r" 1 +0 +A cat\.", text) and re.search(r" 2 +- +Birds: A bird sings\.", text)
    assert re.search(r"^rewrite: human +And this dog\?$", text, re.MULTILINE)
    title = lines.index(f"R@100 by kind: less {LONG}")
    assert lines[title + 3] == "good_one" and lines[title + 7] == "same"
    assert lines[title + 4].split()[:3] == ["x|y_z", "15", "5"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_tex_compiles_the_tables(tmp_path):
    tables = comparison_text(comparison(), "latex")
    document = ["\\documentclass{article}", "\\usepackage{booktabs}", "\\begin{document}", tables, "\\end{document}"]
    (tmp_path / "tables.tex").write_text("\n".join(document))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
