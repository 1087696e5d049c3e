"""The journal: what was appended is read, whatever a kill left at its end; here and on an object store."""

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.errors import DataError
from retort.storage import Workspace
from retort.teachers.journal import PART_OUTCOMES, Journal, tally_of
from retort.teachers.rewriter import Outcome


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        yield Workspace(tmp_path / "workspace", create=True).folder("generations/t/dev-1")
        return
    yield Workspace(f"memory://{tmp_path.name}", create=True).folder("generations/t/dev-1")
    fsspec.filesystem("memory").store.clear()


def outcomes(count, first=0):
    return [
        Outcome(f"q{n}", f"a \u2028 rewrite\nü {n}" if n % 3 else None, "" if n % 3 else "why", n, 1)
        for n in range(first, first + count)
    ]


def test_what_was_appended_is_read_in_order_by_whoever_comes_next(folder):
    assert Journal(folder).read() == []
    written = outcomes(3 * PART_OUTCOMES + 5)
    for first in (0, 40):
        with Journal(folder) as journal:
            for outcome in written[first:][: 40 if first == 0 else None]:
                journal.append(outcome)
    assert Journal(folder).read() == written


def test_an_error_loses_nothing(folder):
    def interrupted():
        with Journal(folder) as journal:
            journal.append(Outcome("q", "r"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert Journal(folder).read() == [Outcome("q", "r")]


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_half_a_line_is_cut_off_and_the_next_one_is_whole(tmp_path, cut):
    folder = Workspace(tmp_path / "workspace", create=True).folder("generations/t/dev-1")
    with Journal(folder) as journal:
        for outcome in outcomes(3):
            journal.append(outcome)
    path = tmp_path / "workspace" / "generations" / "t" / "dev-1" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])

    assert Journal(folder).read() == outcomes(2)
    with Journal(folder) as journal:
        journal.append(outcomes(1, 9)[0])
    assert Journal(folder).read() == outcomes(2) + outcomes(1, 9)


@pytest.mark.parametrize("line", [b"{}\n", b"[1]\n", b"x\n", b'{"query_id": "q", "rewrite": "r", "other": 1}\n'])
def test_another_broken_line_is_told_of(tmp_path, line):
    folder = Workspace(tmp_path / "workspace", create=True).folder("generations/t/dev-1")
    with Journal(folder) as journal:
        journal.append(Outcome("q", "r"))
    path = tmp_path / "workspace" / "generations" / "t" / "dev-1" / "journal.jsonl"
    path.write_bytes(path.read_bytes() + line + path.read_bytes())
    with pytest.raises(DataError, match=r"journal\.jsonl:2: is no outcome of a rewrite; remove the line"):
        Journal(folder).read()


def test_a_tally_by_hand():
    tally = tally_of(
        [
            Outcome("a", None, "busy", 5, 0),
            Outcome("b", "first", "", 10, 1),
            Outcome("b", "second", "", 10, 1),
            Outcome("b", None, "late", 1, 0),
            Outcome("c", None, "x", 0, 0),
            Outcome("c", None, "y", 0, 0),
            Outcome("a", "at last", "", 7, 2),
        ]
    )
    assert tally.rewrites == {"b": "first", "a": "at last"} and tally.failed == {"c": "y"}
    assert (tally.input_tokens, tally.output_tokens) == (33, 4)


@given(
    st.lists(
        st.builds(Outcome, st.sampled_from("abc"), st.none() | st.text(), st.just("r"), st.integers(0, 9)), max_size=12
    )
)
def test_every_turn_has_a_rewrite_or_a_reason_and_every_token_counts(found):
    tally = tally_of(found)
    assert set(tally.rewrites) | set(tally.failed) == {outcome.query_id for outcome in found}
    assert not set(tally.rewrites) & set(tally.failed)
    assert tally.input_tokens == sum(outcome.input_tokens for outcome in found)
