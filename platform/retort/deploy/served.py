"""A student as MLflow serves it: a frame of questions and histories -> each query's terms and their weights.

``mlflow.pyfunc.load_model("models:/retort@champion")`` ends in ``_load_pyfunc``, ``mlflow models serve`` too. What it reads is a
checkpoint with its ``experiment.json`` beside it, as tracking logs them.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retort.config import experiment_from
from retort.corpora.context import context_ids, context_of
from retort.errors import InputError
from retort.records import Message, Turn
from retort.sparse.encoders.encoder import encode_ids, load_student
from retort.storage.layout import EXPERIMENT

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXPERIMENT", "ServedStudent"]


class ServedStudent:
    """A student that takes what MLflow hands over.

    Args:
        directory: Its checkpoint, with the experiment.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / EXPERIMENT
        if not path.is_file():
            raise InputError(f"{directory} holds no {EXPERIMENT}: it is no student that Retort logged")
        self.config = experiment_from(json.loads(path.read_text(encoding="utf-8")), source=str(path))
        self.student, self.tokenizer = load_student(directory)

    def predict(self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Encode questions.

        Args:
            model_input: ``question``, and, where there is one, ``history``: the messages before it, oldest first, the user's
                and the agent's in turn.
            params: None are known.

        Returns:
            ``terms``: for each row a dictionary from word piece to weight.

        Raises:
            InputError: If there is no column ``question``.
        """
        import pandas as pd

        if "question" not in model_input:
            raise InputError(f"there is no column 'question' in {list(model_input.columns)}")
        questions = [str(text) for text in model_input["question"]]
        none: list[Any] = [None] * len(questions)
        histories = list(model_input["history"]) if "history" in model_input else none
        inputs = []
        for question, said in zip(questions, histories, strict=True):
            texts = [] if said is None else [str(text) for text in said]
            history = tuple(Message("agent" if position % 2 else "user", text) for position, text in enumerate(texts))
            turn = Turn("served", "served", 1 + (len(history) + 1) // 2, history, question)
            context = context_of(turn, self.config.context)
            budget = self.config.encoder.query_tokens
            inputs.append(context_ids(self.tokenizer, context, self.config.context, max_tokens=budget))
        vectors = encode_ids(self.student, inputs)
        rows = [slice(int(a), int(b)) for a, b in zip(vectors.indptr[:-1], vectors.indptr[1:], strict=True)]
        terms = [
            {
                self.tokenizer.token(int(index)): float(value)
                for index, value in zip(vectors.indices[row], vectors.values[row], strict=True)
            }
            for row in rows
        ]
        return pd.DataFrame({"terms": terms}, index=model_input.index)


def _load_pyfunc(path: str) -> ServedStudent:
    """MLflow's entry point."""
    return ServedStudent(Path(path))
