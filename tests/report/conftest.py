"""Tables as a terminal of 100 columns shows them."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console, RenderableType


@pytest.fixture
def terminal() -> Callable[[RenderableType], str]:
    def shown(table: RenderableType) -> str:
        console = Console(file=io.StringIO(), width=100, highlight=False)
        console.print(table)
        return console.file.getvalue()

    return shown
