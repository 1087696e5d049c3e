"""Errors name where they came from, and survive the way between two processes."""

import pickle

import pytest

from retort.errors import ConfigError, DataError, InputError, RetortError, RunError, WorkspaceError, excerpt, shown


def test_the_tree_parts_mistakes_of_the_caller_from_work_that_failed():
    assert issubclass(InputError, RetortError) and issubclass(RunError, RetortError)
    assert all(issubclass(error, InputError) for error in (ConfigError, DataError, WorkspaceError))
    assert not issubclass(RunError, InputError)


def test_a_config_error_has_one_line_for_each_problem():
    error = ConfigError(["a: too low", "b: unknown key"], source="sweep.yaml")

    assert str(error) == "sweep.yaml: a: too low\nsweep.yaml: b: unknown key"
    assert error.problems == ("a: too low", "b: unknown key")
    assert str(ConfigError(["a: too low"])) == "a: too low"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "is broken"),
        ({"path": "turns.jsonl"}, "turns.jsonl: is broken"),
        ({"path": "turns.jsonl", "line": 3}, "turns.jsonl:3: is broken"),
    ],
)
def test_a_data_error_begins_with_file_and_line(where, message):
    assert str(DataError("is broken", **where)) == message


@pytest.mark.parametrize(
    "error",
    [
        ConfigError(["a: too low", "b: unknown key"], source="sweep.yaml"),
        ConfigError(["a: too low"]),
        DataError("is broken", path="turns.jsonl", line=3),
        RunError("trial 3 failed"),
        WorkspaceError("no workspace"),
    ],
)
def test_errors_are_the_same_in_another_process(error):
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error) and str(again) == str(error)
    assert getattr(again, "problems", None) == getattr(error, "problems", None)
    assert getattr(again, "source", None) == getattr(error, "source", None)


def test_no_message_is_as_long_as_what_it_speaks_of():
    value = "x" * 3_000_000
    for error in (
        DataError(f"the id {value} is wrong; shorten it", path="turns.jsonl", line=3),
        DataError(f"the question {'word ' * 600_000} is wrong; shorten it", path="turns.jsonl", line=3),
        ConfigError([f"a: got {value}; shorten it", "b: unknown key"], source="sweep.yaml"),
        WorkspaceError(f"no run {value}; shorten it"),
    ):
        assert len(str(error)) < 5000 and "; shorten it" in str(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(DataError(f"{value}", path="turns.jsonl", line=3)).startswith("turns.jsonl:3: xxx")
    assert shown(10**10_000) == "a value of type int that is too long to show" and shown("a") == "'a'"
    assert excerpt("abcd", 4) == "abcd" and excerpt("abcde", 4) == "abcd..."
