"""Pages and tables in HTML, from the templates (``*.html``) that stand beside the modules that fill them."""

import math
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from retort.report.render.table import Cell, Table

__all__ = ["filled", "html_table"]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    loader = PackageLoader("retort.report", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def filled(template: str, **values: object) -> Markup:
    """A template, named by its path below ``report/``, with values; texts that are no ``Markup`` are escaped."""
    return Markup(_environment().get_template(template).render(values))


def html_table(table: Table) -> Markup:
    """A table whose columns can be sorted by their headers; its title is what a screen reader says, its notes are not shown."""
    return filled(
        "render/table.html", table=table, sorted_by=_sorted_by, kinds={"number": "", "name": "left", "text": "left any"}
    )


def _sorted_by(cell: Cell) -> str | None:
    """What a cell is sorted by where that is not its text."""
    if not isinstance(cell.value, float):
        return None
    return f"{cell.value:.9g}" if math.isfinite(cell.value) else ""
