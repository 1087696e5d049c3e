"""L0 and R@100 by turn number: one figure for each grid, a line for each row.

Colours are Okabe and Ito's, which the colour-blind tell apart; markers and dashes tell the same. No pyplot: it has global state,
and picks a display.
"""

import io
from typing import TYPE_CHECKING, Final

from retort.report.paper.claims import Grid
from retort.report.paper.grid import by_turn, turn_groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["by_turn_figures", "figure_files"]

_COLOURS: Final = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#9a9a9a")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<")
_DASHES: Final = ("-", "--", "-.", ":")
_PANELS: Final = (("L0", "L0: active terms of a query"), ("R@100", "R@100"))


def by_turn_figures(grid: Grid, title: str) -> dict[str, bytes]:
    """The figure as ``png`` and as ``svg``.

    Args:
        grid: Whose rows are drawn; means over seeds and over the turns of a number, the deepest in one group.
        title: Of the figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = turn_groups(grid.turns.turn_numbers)
    labels = [f"{label}\n({len(places)})" for label, places in groups.items()]
    picture = Figure(figsize=(10.5, 4.6), dpi=150)
    FigureCanvasAgg(picture)
    panels = picture.subplots(1, 2)
    for axes, (measure, axis_title) in zip(panels, _PANELS, strict=True):
        for number, row in enumerate(grid.rows):
            values = by_turn(row, grid.turns, measure)
            axes.plot(
                range(len(groups)),
                [values[label] for label in groups],
                color=_COLOURS[number % len(_COLOURS)],
                marker=_MARKERS[number % len(_MARKERS)],
                linestyle=_DASHES[number // len(_COLOURS) % len(_DASHES)],
                linewidth=2.2 if row is grid.baseline else 1.3,
                markersize=5,
                label=f"{row.label}{' (baseline)' if row is grid.baseline else ''}",
            )
        axes.set_xticks(range(len(groups)), labels, fontsize=8)
        axes.set_xlabel("turn number (turns)")
        axes.set_ylabel(axis_title)
        axes.grid(True, color="#e4e4e4", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if measure == "L0":
            axes.set_ylim(bottom=0)
    picture.text(0.06, 0.955, title, fontsize=12, weight="bold", va="center", parse_math=False)
    handles, names = panels[0].get_legend_handles_labels()
    picture.legend(
        handles,
        [name.replace("$", r"\$") for name in names],
        title=grid.question.title,
        loc="center right",
        frameon=False,
        fontsize=8,
        title_fontsize=8,
    )
    picture.subplots_adjust(left=0.06, right=0.83, top=0.9, bottom=0.15, wspace=0.2)
    return figure_files(picture)


def figure_files(picture: "Figure") -> dict[str, bytes]:
    """A figure as ``png`` and as ``svg``; the SVG holds no date and no random ids, so that equal figures are equal files."""
    import matplotlib as mpl

    drawn = {}
    with mpl.rc_context({"svg.hashsalt": "retort"}):
        for kind in ("png", "svg"):
            buffer = io.BytesIO()
            picture.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
            drawn[kind] = buffer.getvalue()
    return drawn
