"""The front as the pictures that lie beside ``front.json``: drawn when a sweep ends."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from retort.report.sweep.plots import plot_front_png, write_front_html
from retort.storage import FileEntry
from retort.storage.layout import SWEEP
from retort.sweeps.listener import Listener
from retort.sweeps.sweep import Sweep

__all__ = ["DrawnFront"]


class DrawnFront(Listener):
    """Draws a sweep's front into its folder."""

    def concluded(self, sweep: Sweep) -> tuple[FileEntry, ...]:
        """Write ``front.png`` and ``front.html``."""
        title = f"{sweep.name}: {len(sweep.front)} of {len(sweep.points)} trials on the front"
        draw: dict[str, Callable[..., None]] = dict(
            zip(SWEEP.drawings, (plot_front_png, write_front_html), strict=True)
        )
        entries = []
        with tempfile.TemporaryDirectory() as temporary:
            for name, function in draw.items():
                path = Path(temporary, name)
                function(sweep.points, path, title=title, objectives=sweep.objectives)
                entries.append(sweep.folder.write_bytes(name, path.read_bytes()))
        return tuple(entries)
