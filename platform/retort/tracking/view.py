"""The columns with which MLflow's page of an experiment opens: what one compares students by.

MLflow has no default columns of an experiment's own; it has views that are shared by a link, kept as a tag of the experiment.
"""

import json
from typing import Final

from retort.tracking.names import metric_name

__all__ = ["VIEW", "VIEW_TAG", "view_state"]

VIEW: Final = "retort"
VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW}"
COLUMNS: Final = ("R@100", "FLOPS", "dev/R@100", "dev/FLOPS", "dev/RR", "dev/nDCG@3", "L0")
TAGS: Final = ("retort.corpus", "retort.teacher", "retort.objective", "retort.seed", "retort.front")


def view_state() -> str:
    """The view as MLflow's page reads it: trials and single runs, the latest first."""
    columns = ["attributes.`Created`", *(f"metrics.`{metric_name(measure)}`" for measure in COLUMNS)]
    return json.dumps(
        {
            "searchFilter": "tags.`retort.kind` != 'sweep'",
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": [*columns, *(f"tags.`{tag}`" for tag in TAGS)],
            "columnOrder": [],
            "columnWidths": {},
            "runsExpanded": {},
            "runsPinned": [],
            "runsHidden": [],
            "runsVisibilityMap": {},
            "runsHiddenMode": "FIRST_10_RUNS",
            "viewMaximized": False,
            "runListHidden": False,
            "groupsExpanded": {},
        }
    )
