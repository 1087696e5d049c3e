"""The front as the picture and the page that lie beside ``front.json``: drawn when a sweep ends."""

from importlib.resources import files

from markupsafe import Markup

from retort.report.render.axes import Axis
from retort.report.render.figure import Chart, Figure
from retort.report.render.files import drawn_files
from retort.report.render.html import filled
from retort.report.render.interactive import figure_html
from retort.report.sweep.front_figures import front_figures
from retort.report.sweep.texts import worth_and_cost
from retort.storage import FileEntry
from retort.storage.layout import SWEEP
from retort.sweeps.listener import Listener
from retort.sweeps.sweep import Sweep

__all__ = ["DrawnFront", "filled_page", "front_drawings"]


class DrawnFront(Listener):
    """Draws a sweep's front into its folder."""

    def concluded(self, sweep: Sweep) -> tuple[FileEntry, ...]:
        """Write ``front.png`` and ``front.html``."""
        return tuple(sweep.folder.write_bytes(name, content) for name, content in front_drawings(sweep).items())


def front_drawings(sweep: Sweep) -> dict[str, bytes]:
    """File name -> content: the front over the objective as a picture, and over every cost as a page that needs no network."""
    failed = f", {len(sweep.failed)} failed" if sweep.failed else ""
    heading = f"{sweep.name} ({len(sweep.front)} of {len(sweep.points)} trials on the front{failed})"
    figures = front_figures(sweep) or [_no_front(sweep)]
    picture, page = SWEEP.drawings
    sections = [figure_html(figure, {"PNG": picture} if figure is figures[0] else {}) for figure in figures]
    html = filled_page("sweep/front.html", heading, figures=sections)
    return {picture: drawn_files(figures[0], heading)["png"], page: html.encode()}


def _no_front(sweep: Sweep) -> Figure:
    worth, cost = worth_and_cost(sweep)
    chart = Chart(Axis("", (0.0, 1.0), ()), Axis("", (0.0, 1.0), ()), [])
    return Figure("front", f"{worth} against {cost}", "No trial has finished: there is no front.", [chart])


def filled_page(template: str, title: str, **values: object) -> str:
    """A page of a sweep: its template below ``report/``, with plotly, our script and our style in it."""
    from plotly.offline import get_plotlyjs

    beside = files("retort.report.sweep")
    style, script = (Markup(beside.joinpath(name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    return filled(template, title=title, style=style, scripts=[Markup(get_plotlyjs()), script], **values)
