"""Pages in HTML, from the templates (``*.html``) that stand beside the modules that fill them."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["filled"]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    loader = PackageLoader("retort.report", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def filled(template: str, **values: object) -> Markup:
    """A template, named by its path below ``report/``, with values; texts that are no ``Markup`` are escaped."""
    return Markup(_environment().get_template(template).render(values))
