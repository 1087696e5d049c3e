"""All that a training goes on with after an interruption, as one object that is saved and loaded as a whole.

Everything else that a step depends on (batches, samples, learning rate, ramp, dropout's seed) is a function of the step.
"""

import io
import logging
import zipfile
from dataclasses import dataclass, field
from typing import Any, Final

import torch

from retort.config import ExperimentConfig
from retort.distill.adaptation import TERMS, Adaptation
from retort.distill.step import CURVES
from retort.sparse.encoders.encoder import QueryEncoder
from retort.sparse.vectors import Int32
from retort.storage import Folder

__all__ = ["Curves", "TrainingState"]

STATE: Final = "state.pt"

logger = logging.getLogger(__name__)


@dataclass
class Curves:
    """Values of a training, a row per step: ``CURVES``, the learning rate, and what else its objective has."""

    rows: list[list[float]] = field(default_factory=list)
    columns: tuple[str, ...] = (*CURVES, "learning_rate", "gradient_norm")

    @classmethod
    def of_experiment(cls, config: ExperimentConfig) -> "Curves":
        """Empty curves with the columns that vary in this experiment."""
        objective, columns = config.objective, list(cls.columns)
        if objective.divergence == "margin_mse" or objective.margin_mse_weight:
            columns.append("margin_mse")
        if objective.representation_weight:
            columns.append("representation")
        if objective.weighting != "fixed" or objective.contrastive_schedule != "constant":
            columns += [f"weight_{name}" for name in TERMS]
        if config.regularization.query != "none":
            columns.append("penalty_weight")
        if config.trains_passages:
            columns += ["passage_L0", "passage_penalty_weight"]
        return cls(columns=tuple(columns))

    def of(self, name: str) -> list[float]:
        """One curve, a value per step."""
        position = self.columns.index(name)
        return [row[position] for row in self.rows]


@dataclass
class TrainingState:
    """A training between two steps.

    Attributes:
        encoders: What is trained, by its name in the file: ``student``, and ``passage_encoder`` where it is trained too.
        step: The next step.
        mined: The student's own rankings as they were last retrieved, where samples come from them.
    """

    encoders: dict[str, QueryEncoder]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    adaptation: Adaptation
    curves: Curves
    step: int = 0
    mined: Int32 | None = None

    def save(self, folder: Folder) -> None:
        """Write the state, in place of the one before."""
        state: dict[str, Any] = {
            "step": self.step,
            **{name: encoder.state_dict() for name, encoder in self.encoders.items()},
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "adaptation": self.adaptation.state(),
            "student_rankings": None if self.mined is None else torch.from_numpy(self.mined),
            "curves": self.curves.rows,
        }
        folder.write(STATE, lambda stream: torch.save(state, stream))

    def load(self, folder: Folder, device: torch.device) -> None:
        """Go on from the state in a folder, if there is a whole one."""
        if not folder.exists(STATE):
            return
        content = io.BytesIO(folder.read_bytes(STATE))
        if not _is_whole(content):
            logger.warning("%s is damaged and is not used: the training starts from its beginning", folder.url(STATE))
            return
        content.seek(0)
        state = torch.load(content, map_location=device, weights_only=True)
        for name, encoder in self.encoders.items():
            encoder.load_state_dict(state[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.adaptation.load(state["adaptation"])
        self.curves.rows = state["curves"]
        self.step = int(state["step"])
        mined = state["student_rankings"]
        self.mined = None if mined is None else mined.cpu().numpy()


def _is_whole(content: io.BytesIO) -> bool:
    """Whether a file of torch's, an archive with a checksum for each part, is as it was written; torch itself does not look."""
    try:
        with zipfile.ZipFile(content) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, NotImplementedError):  # the latter where a damaged header asks for what does not exist
        return False
