"""LaTeX that compiles: what TeX reads as commands is escaped, and a real TeX agrees where there is one."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.report.render.latex import latex_table, latex_text
from retort.report.render.table import Cell, Column, Heading, Table, row

SPECIAL = r"""\{}$&%#_~^<>|"[]*--- 50% a_b #1"""


def test_commands_are_escaped():
    assert latex_text("a_b & 50% #1 {x}") == r"a\_b \& 50\% \#1 \{x\}"
    assert latex_text("R@100 < 0.05\n--x") == r"R@100 \textless{} 0.05 -{}-x"


@given(st.text(st.characters(codec="ascii")))
def test_no_command_is_left(text):
    # Without the escapes themselves there is no character left that TeX acts on, and braces are balanced.
    escaped = latex_text(text)
    plain = re.sub(r"\\text[a-z]+\{\}|\\[{}$&%#_]|\{[\[*]\}|-\{\}", "", escaped)
    assert not set(plain) & set('\\{}$&%#_~^<>|"[*\n')
    assert escaped.count("{") - escaped.count(r"\{") == escaped.count("}") - escaped.count(r"\}")


def table():
    columns = (Column("run", "name"), Column("R@100"), Column("L0"))
    rows = [
        row(SPECIAL, "0.5", Cell("1.0", style="bold", mark="‡")),
        Heading("a_b: 3"),
        row("[1] *-0.5", "-", "-0.1 [-0.2, +0.1]"),
    ]
    return latex_table(Table("", columns, rows), caption=latex_text(SPECIAL), label="tab:a_b R@100")


def test_a_table_has_a_column_for_each_cell():
    lines = table().splitlines()
    assert r"  \begin{tabular}{lrr}" in lines and r"  \label{tab:a-b-R-100}" in lines
    assert [line.strip() for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    for line in lines:
        if line.endswith(r"\\") and "multicolumn" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) == 2
    assert r"    \multicolumn{3}{l}{\emph{a\_b: 3}} \\" in lines
    assert lines[8].endswith(r"& 0.5 & \textbf{1.0}$^{\ddagger}$ \\")
    # Signs of figures are mathematics; those of names are not.
    assert lines[10] == r"    {[}1] {*}-0.5 & - & $-0.1$ {[}$-0.2$, $+0.1$] \\"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_tex_compiles_it_with_booktabs_alone(tmp_path):
    document = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}", table(), r"\end{document}"]
    (tmp_path / "table.tex").write_text("\n".join(document))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").read_bytes().startswith(b"%PDF")
