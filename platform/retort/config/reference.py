"""Every setting with its type, default, bounds and meaning, read off the models themselves: what the documentation prints."""

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from retort.config.experiment import ExperimentConfig
from retort.config.search_space import SearchSpaceConfig

__all__ = ["Setting", "settings_markdown", "settings_of"]

PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
BOUNDS = {"gt": "> {}", "ge": ">= {}", "lt": "< {}", "le": "<= {}"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        key: As ``key=value`` on the command line has it.
        kind: What it takes.
        default: As YAML would have it; "" where there is none.
        meaning: One line.
    """

    key: str
    kind: str
    default: str
    meaning: str


def settings_of(model: type[BaseModel] = ExperimentConfig, prefix: str = "") -> Iterator[Setting]:
    """The settings of a model, section by section, in the order in which they are defined."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        section = _section(field.annotation)
        if section is None:
            yield Setting(key, _kind(field), _default(field), field.description or "")
            continue
        if field.description:
            yield Setting(key, "settings" + _beside(field.annotation), _default(field), field.description)
        yield from settings_of(section, f"{key}.")


def settings_markdown() -> str:
    """The whole reference: experiments, then search spaces."""
    lines = [
        "# Settings",
        "",
        "Every key of an experiment and of a search space, generated from the models that check them (`retort show settings",
        "--markdown`). On the command line any of them is `key=value`; in a sweep's `search` any key of an experiment that takes",
        "one value may be varied.",
    ]
    for name, field in ExperimentConfig.model_fields.items():
        section = _section(field.annotation)
        if section is not None:
            lines += ["", f"## {name}", "", _first_line(section), "", *_table(settings_of(section, f"{name}."))]
    plain = [one for one in settings_of() if "." not in one.key]
    lines += ["", "## The experiment itself", "", *_table(iter(plain))]
    lines += ["", "## A search space", "", _first_line(SearchSpaceConfig), "", *_table(settings_of(SearchSpaceConfig))]
    return "\n".join(lines) + "\n"


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _table(settings: Iterator[Setting]) -> list[str]:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    rows = [
        f"| `{one.key}` | {cell(one.kind)} | {f'`{one.default}`' if one.default else ''} | {cell(one.meaning)} |"
        for one in settings
    ]
    return ["| key | takes | default | |", "| --- | --- | --- | --- |", *rows]


def _parts(annotation: Any) -> list[Any]:
    """The alternatives of a type, ``Annotated`` taken off."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for argument in get_args(annotation) for part in _parts(argument)]
    return [annotation]


def _section(annotation: Any) -> type[BaseModel] | None:
    models = [part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    return models[0] if models else None


def _beside(annotation: Any) -> str:
    """What a section may be instead."""
    others = [part for part in _parts(annotation) if not (isinstance(part, type) and issubclass(part, BaseModel))]
    return "".join(f" or {PLAIN.get(part, 'other')}" for part in others)


def _kind(field: FieldInfo) -> str:
    bounds = [
        text.format(f"{value:g}" if isinstance(value, float) else value)
        for name, text in BOUNDS.items()
        for entry in _metadata(field)
        if (value := getattr(entry, name, None)) is not None
    ]
    kinds = " or ".join(dict.fromkeys(_name(part) for part in _parts(field.annotation)))
    return kinds + (f", {' and '.join(bounds)}" if bounds else "")


def _metadata(field: FieldInfo) -> list[Any]:
    found = list(field.metadata)
    pending = [field.annotation]
    while pending:
        annotation = pending.pop()
        if get_origin(annotation) is Annotated:
            found += get_args(annotation)[1:]
            pending.append(get_args(annotation)[0])
        elif get_origin(annotation) in (Union, types.UnionType):
            pending += get_args(annotation)
    return found


def _name(part: Any) -> str:
    if get_origin(part) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(part))
    if get_origin(part) is tuple:
        arguments = [argument for argument in get_args(part) if argument is not Ellipsis]
        inner = _name(_parts(arguments[0])[0])
        return f"list of {inner}" if Ellipsis in get_args(part) else f"{len(arguments)} of {inner}"
    if get_origin(part) is dict:
        return "settings by name"
    return PLAIN.get(part, "text")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, ensure_ascii=False)
