"""A table as text: numbers and names are never broken, the least important columns go first, and it is said which."""

import csv
import io
import json
import math
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from retort.report.render.html import html_table
from retort.report.render.markdown import markdown_table, markdown_text
from retort.report.render.table import Cell, Column, Heading, Row, Table, csv_text, measure_columns, records, row
from retort.report.render.terminal import TableConsole, terminal_text

LONG = "informative-minilm-w0.1-n32-expectedflops0.003-pruned4-s0-1a2b3c4d5e"
SHORT = "baseline:last"
FIGURES = ("0.782", "0.401", "0.355", "0.344", "0.0312", "13.1")
MEASURES = ("R@100", "R@10", "RR", "nDCG@3", "FLOPS", "L0")


def made(name=LONG, **changes):
    columns = (Column("run", "name"), Column("engine", "name"), *measure_columns(MEASURES), Column("95 % interval"))
    rows = [row(name, "exact", *FIGURES, "[-0.192, -0.088]"), row("other", "lucene", *FIGURES, "[-0.001, +0.025]")]
    return Table(**{"title": "runs on dev", "columns": columns, "rows": rows, **changes})


def lines(table, width):
    return terminal_text(table, width).plain.splitlines()


def test_a_table_that_fits_has_a_line_for_each_row():
    title, header, rule, first, second = lines(made(SHORT), 140)
    assert title == "runs on dev" and header.split()[:3] == ["run", "engine", "R@100"] and set(rule) == {"-"}
    assert first.split() == [SHORT, "exact", *FIGURES, "[-0.192,", "-0.088]"] and second.split()[0] == "other"
    # Numbers end below the ends of their headers, names begin below their beginnings.
    for figure, measure in zip(FIGURES, MEASURES, strict=True):
        assert first.index(figure) + len(figure) == f"{header} ".index(f" {measure} ") + 1 + len(measure)
    assert first.index("exact") == header.index("engine") == second.index("lucene")


def test_a_name_too_long_to_stand_beside_its_figures_stands_above_them():
    shown = lines(made(), 80)
    place = shown.index(LONG)
    assert shown[place + 1].split() == ["exact", *FIGURES, "[-0.192,", "-0.088]"]
    assert shown[place + 2 :] == [
        "other",
        shown[place + 1].replace("exact ", "lucene").replace("-0.192, -0.088", "-0.001, +0.025"),
    ]
    assert not any("not shown" in line for line in shown) and max(map(len, shown)) <= 80
    assert LONG in lines(made(), 140)[3] and "0.782" in lines(made(), 140)[3]


def test_the_least_important_columns_go_first_and_are_named():
    narrow = lines(made(), 60)
    assert narrow[-1] == "not shown at 60 columns: R@10, L0 (all fit into 69)"
    assert "13.1" not in " ".join(narrow) and "0.401" not in " ".join(narrow) and "[-0.192, -0.088]" in " ".join(narrow)
    # It says the truth: at 69 columns none is left out, at 68 one is.
    assert not any("not shown" in line for line in lines(made(), 69))
    assert any("not shown at 68 columns: L0" in line for line in lines(made(), 68))
    # What is left is the most important column; it may be wider than there is room.
    (*_, shown) = lines(
        made(columns=tuple(Column(c.header, c.kind, 100 - n) for n, c in enumerate(made().columns))), 10
    )
    assert shown == "into 69)" and LONG in lines(made(), 10)


def test_headers_break_before_a_column_is_left_out():
    columns = (Column("#"), *(Column(f"some_long_setting_{number}") for number in range(4)), Column("win/tie/loss"))
    table = Table("", columns, [row("1", "0.5", "0.25", "0.125", "1e-05", "12/3/4")])
    assert lines(table, 200)[0].split()[1] == "some_long_setting_0"
    shown = lines(table, 60)
    assert [line.split() for line in shown[:4]] == [
        ["some_"] * 4,
        [*["long_"] * 4, "win/"],
        [*["setting_"] * 4, "tie/"],
        ["#", "0", "1", "2", "3", "loss"],
    ]
    assert shown[-1].split() == ["1", "0.5", "0.25", "0.125", "1e-05", "12/3/4"]


def test_texts_wrap_at_words_and_share_the_room():
    error = "RunError: the loss became NaN at step 12 of 400 in " + "/a/very/long/path" * 6
    table = Table(
        "", (Column("trial", "name"), Column("why", "text"), Column("error", "text")), [row("0012", "so", error)]
    )
    shown = lines(table, 60)
    assert max(map(len, shown)) <= 60 and len(shown) > 4
    assert "".join("".join(line[len("0012  why") :].split()) for line in shown[2:]) == "".join(error.split())
    assert lines(table, None)[-1] == f"0012   so   {error}"


def test_headings_stand_above_their_rows_and_marks_do_not_move_the_figures():
    columns = (Column("run", "name"), Column("difference"), Column("n"))
    rows = [Heading("R@100"), row("a", Cell("+0.100", mark="*"), "9"), Heading(""), row("b", "-0.2", "10")]
    shown = lines(Table("", columns, rows, ["a note"]), 40)
    assert shown[2:] == ["R@100", "a       +0.100*   9", "", "b         -0.2   10", "a note"]


def test_styles_are_for_a_terminal_alone():
    stream = io.StringIO()
    table = Table("t", (Column("a", "name"),), [row("[red]x[/]", style="bold")])
    TableConsole(stream, 80).print(table, "a text", table)
    assert stream.getvalue() == "t\na\n---------\n[red]x[/]\n\na text\n\nt\na\n---------\n[red]x[/]\n"
    (span,) = [span for span in terminal_text(table).spans if span.style == "bold" and span.start > 4]
    assert terminal_text(table).plain[span.start : span.end] == "[red]x[/]"


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("140", 140), (None, None), ("wide", None), ("0", None)])
def test_in_a_pipe_the_width_is_that_of_columns_or_what_it_takes(columns, width):
    program = (
        "import sys; from retort.report.render.terminal import *; from retort.report.render.table import *\n"
        "columns = (Column('run', 'name'), *(Column(f'measure{n}') for n in range(12)))\n"
        f"t = Table('', columns, [row({LONG!r}, *['0.123'] * 12)])\n"
        "table_console().print(t); print(output_width(sys.stdout))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {} if columns is None else {"COLUMNS": columns}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    *shown, told = done.stdout.splitlines()
    assert told == str(width) and all(line == line.rstrip() for line in shown) and any(LONG in line for line in shown)
    if width is None:
        assert len(shown) == 3 and len(shown[2]) == len(LONG) + 12 * len("  measure0") + 2
    else:
        assert max(map(len, shown)) <= width


words = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=30)
KINDS = st.sampled_from(["number", "name", "text"])


@st.composite
def tables(draw):
    kinds = draw(st.lists(st.tuples(KINDS, st.integers(0, 3)), min_size=1, max_size=9))
    headers = draw(st.lists(words, min_size=len(kinds), max_size=len(kinds), unique=True))
    columns = tuple(Column(f"h{n}_{h}", *kind) for n, (h, kind) in enumerate(zip(headers, kinds, strict=True)))
    marks = st.sampled_from(["", "*"])
    cells = [
        st.builds(Cell, st.lists(words, max_size=12).map(" ".join) if c.kind == "text" else words, mark=marks)
        for c in columns
    ]
    rows = draw(st.lists(st.builds(Row, st.tuples(*cells)) | st.builds(Heading, words), max_size=4))
    return Table(draw(words), columns, rows, draw(st.lists(words, max_size=2)))


@given(tables(), st.none() | st.integers(1, 200))
def test_everything_is_there_unbroken_or_its_column_is_named(table, width):
    shown = terminal_text(table, width).plain.split("\n")
    text = " ".join(" ".join(shown).split())
    left = re.findall(r"not shown at \d+ columns: (.*) \(all fit into", text)
    assert all(line == line.rstrip() for line in shown)
    missing = [column for column in table.columns if left and column.name in left[0]]
    assert width is not None or not missing
    for each in table.rows:
        for column, cell in zip(table.columns, getattr(each, "cells", ()), strict=isinstance(each, Row)):
            if column not in missing and column.kind != "text":
                assert any(cell.text + cell.mark in line for line in shown)
    if width is not None and len(missing) < len(table.columns) - 1:
        unbreakable = {cell.text + cell.mark for each in table.rows for cell in getattr(each, "cells", ())}
        unbreakable |= {table.title, *table.notes, *(each.text for each in table.rows if isinstance(each, Heading))}
        stated = {word for line in shown for word in line.split() if cell_len(word) >= width - 2}
        over = [line for line in shown if cell_len(line) > width]
        assert all(any(word in line for word in stated) or line.strip() in unbreakable for line in over)


def test_markdown_escapes_markup_and_ends_no_cell_early():
    columns = (Column("a|b", "name"), Column("n"))
    table = Table(
        "t", columns, [Heading("x_y"), row("*x*|<b>", Cell("1", style="bold", mark="†")), row("z", "2", style="bold")]
    )
    assert markdown_table(table) == [
        r"| a\|b | n |",
        "| --- | ---: |",
        r"| **x\_y** |  |",
        r"| \*x\*\|\<b\> | **1**† |",
        "| **z** | **2** |",
    ]
    assert markdown_text("one\n two") == "one two"


def test_csv_and_json_have_the_values():
    table = Table(
        "t", (Column("a\nb", "name"), Column("n")), [row("x,y", Cell("0.3", 0.1 + 0.2)), row("z", Cell("-", math.nan))]
    )
    assert json.loads(json.dumps(records(table), allow_nan=False)) == [
        {"a b": "x,y", "n": 0.1 + 0.2},
        {"a b": "z", "n": None},
    ]
    assert list(csv.reader(io.StringIO(csv_text(table)))) == [["a b", "n"], ["x,y", "0.30000000000000004"], ["z", ""]]
    sectioned = Table("t", (Column("n"),), [Heading("s"), row("1")])
    assert records(sectioned) == [{"section": "s", "n": "1"}]
    assert csv_text(Table("t", (Column("n"),), [])) == "n\n"


def test_html_escapes_and_says_what_sorts():
    cells = (Cell("<b>"), Cell("1.0", 1.0, style="bold"), Cell("-", math.inf))
    table = Table(
        '"t"', (Column("<a>", "name"), Column("n\ndev"), Column("why", "text")), [Row(cells, "dim"), Heading("<h>")]
    )
    page = str(html_table(table))
    assert 'aria-label="&#34;t&#34;"' in page and '<button type="button">n<br>dev</button>' in page
    assert re.sub(r"\s*\n\s*", "", page).endswith(
        '<tr class="dim"><td class="left">&lt;b&gt;</td><td class="" data-value="1"><strong>1.0</strong></td>'
        '<td class="left any" data-value="">-</td></tr><tr><th class="left" colspan="3">&lt;h&gt;</th></tr>'
        "</tbody></table></div>"
    )


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(AssertionError):
        Table("", (Column("a"),), [row("1", "2")])
