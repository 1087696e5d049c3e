"""What all settings have in common: frozen models, names, and one error that reports everything that is wrong."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from retort.errors import ConfigError, excerpt, shown

__all__ = ["MANY", "MAX_SEED", "Later", "Name", "Settings", "checked_name", "kind_of_value", "validated"]

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")
_LATER: Final = "a later version added this setting"
_KEY_CHARACTERS: Final = 200  # of a key in a message: the longest setting's has 40
_TOLD: Final = 100  # problems; a file with more is another one
# At its default such a setting changes nothing and is no part of an identity: runs from before keep their names.
Later = Annotated[Value, _LATER]
# What is above can only be a slip of the keyboard: no collection has as many passages, no training as many steps.
MANY: Final = 1_000_000_000
MAX_SEED: Final = 2**32 - 1  # numpy's generators take no larger one
_LARGEST_INT: Final = 2**63 - 1  # of Arrow, of SQLite, of C
_LARGEST_FLOAT: Final = 3.4e38  # of a float32, in which everything is computed
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class Settings(BaseModel):
    """Frozen, unknown keys refused, no infinities."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    @field_validator("*")
    @classmethod
    def _numbers_fit(cls, value: object) -> object:
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and abs(number) > _LARGEST_INT:
                raise ValueError("the number does not fit into 64 bits")
            if isinstance(number, float) and abs(number) > _LARGEST_FLOAT:
                raise ValueError(f"{number:g} does not fit into 32 bits")
        return value

    def identity(self) -> dict[str, object]:
        """The settings as plain data; those that are marked ``Later`` only where they are set."""
        data: dict[str, object] = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            if _LATER in field.metadata and getattr(self, name) == field.default:
                del data[name]
        return data


def kind_of_value(value: object) -> str:
    """Tells pydantic which member of a union was meant, so that only that member's problems are reported."""
    if isinstance(value, Mapping | BaseModel):
        return "(settings)"
    return "(choices)" if isinstance(value, list | tuple) else "(name)"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The question whether a name that nothing has was meant for one that something has, to go before what else is said."""
    if len(word) > _KEY_CHARACTERS:
        return ""  # nothing is called so, and comparing takes the product of both lengths
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}? " if close else ""


def _problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    problems = []
    found = error.errors(include_url=False)
    for item in found[:_TOLD]:
        key = excerpt(".".join(str(part) for part in item["loc"] if not str(part).startswith("(")), _KEY_CHARACTERS)
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, item["loc"][:-1])
            hint = did_you_mean(str(item["loc"][-1]), known) or (f"known here: {', '.join(known)}" if known else "")
            problems.append(f"{key}: unknown key; {hint}".rstrip("; "))
        elif item["type"] == "union_tag_invalid":
            problems.append(f"{key}: {shown(item['input'])} is neither settings nor one of the allowed values")
        elif item["type"] == "missing":
            problems.append(f"{key}: is missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            got = "" if item["type"] == "value_error" else f", got {shown(item['input'])}"
            problems.append(f"{key}: {message}{got}" if key else message)
    return problems + [f"{len(found) - _TOLD} more such problems"] * (len(found) > _TOLD)


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    for part in path:
        found = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if found is None:
            continue  # the tag of a union, or the key of a mapping: the model is what its field holds
        models = _models_in(found.annotation)
        if len(models) != 1:
            return []
        (model,) = models
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def validated(model: type[Model], data: object, *, source: str | None = None) -> Model:
    """Build a settings model from plain data.

    Raises:
        ConfigError: With every problem of ``data``, one line each.
    """
    if not isinstance(data, Mapping):
        raise ConfigError([f"expected settings as key: value, got {type(data).__name__}"], source=source)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_problems(error, model), source=source) from error


def checked_name(value: str, what: str) -> str:
    """A name that becomes a folder of the workspace: a split, a teacher.

    Raises:
        ConfigError: If it is no plain name; the message begins with ``what``.
    """
    try:
        return TypeAdapter(Name).validate_python(value)
    except ValidationError as error:
        allowed = "letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 100 characters"
        raise ConfigError([f"{what}: {shown(value)} is no name; use {allowed}"]) from error
