"""``retort search``: the same ranking as an evaluation's, why a passage was found, and a conversation through standard input."""

import io
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.corpora.turns import read_turns
from retort.deploy.ask import Searcher
from retort.errors import InputError
from retort.evaluation.latest import latest_evaluation
from retort.evaluation.runs import list_runs
from retort.records import Message
from retort.report.views.answer import SNIPPET, answer_view, snippet
from retort.storage import Workspace


@pytest.fixture(scope="module")
def workspace(evaluated_path):
    return Workspace(evaluated_path)


@pytest.fixture(scope="module")
def run(workspace):
    (name,) = list_runs(workspace)
    return name


@pytest.fixture(scope="module")
def searcher(workspace, run):
    return Searcher(workspace, run)


@pytest.fixture(scope="module")
def deep(workspace):
    """A turn with a history."""
    return max(read_turns(workspace, "dev"), key=lambda turn: turn.turn_number)


def test_a_turn_of_the_corpus_finds_what_its_evaluation_found(workspace, run, searcher, deep):
    lines = latest_evaluation(workspace, run, split="dev").read_bytes("run.trec").decode().splitlines()
    expected = [line.split() for line in lines if line.split()[0] == deep.query_id][:5]
    answer = searcher.ask(deep.question, deep.history, k=5)

    assert answer.turn_number == deep.turn_number > 1
    assert [hit.passage.doc_id for hit in answer.hits] == [line[2] for line in expected]
    assert [hit.score for hit in answer.hits] == pytest.approx([float(line[4]) for line in expected], rel=1e-5)
    assert [hit.rank for hit in answer.hits] == [1, 2, 3, 4, 5]


def test_matched_terms_sum_to_the_score_and_are_marked_in_the_text(searcher, deep):
    answer = searcher.ask(deep.question, deep.history, k=5)
    tokens = {term.token for term in answer.terms}
    for hit in answer.hits:
        assert sum(hit.matched.values()) == pytest.approx(hit.score, rel=1e-4)
        assert list(hit.matched.values()) == sorted(hit.matched.values(), reverse=True)
        marked = [hit.passage.title[b:e] for b, e in hit.title_spans] + [hit.passage.text[b:e] for b, e in hit.spans]
        pieces = {searcher.run.tokenizer.token(int(i)) for ids in searcher.run.tokenizer.pieces(marked) for i in ids}
        assert pieces == hit.matched.keys() <= tokens


def test_terms_are_told_apart_by_where_they_come_from(searcher, deep):
    alone, whole = searcher.ask(deep.question), searcher.ask(deep.question, deep.history)
    assert {term.source for term in alone.terms} == {"question"}  # the lexical family adds nothing of its own
    assert {term.source for term in whole.terms} <= {"question", "context"}
    tokenizer = searcher.run.tokenizer
    (asked,) = tokenizer.pieces([deep.question])
    words = {tokenizer.token(int(index)) for index in asked}
    assert all((term.token in words) == (term.source == "question") for term in whole.terms)
    assert whole.flops == pytest.approx(sum(term.passage_share for term in whole.terms))
    assert [term.weight for term in whole.terms] == sorted((term.weight for term in whole.terms), reverse=True)


def test_words_that_nobody_knows_find_nothing(searcher):
    answer = searcher.ask("☃")
    assert answer.hits == () and "no passage holds any of these terms" in _plain(answer)
    with pytest.raises(InputError, match="the question is blank"):
        searcher.ask("  ")


def _plain(answer):
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=100).print(answer_view(answer))
    return stream.getvalue()


@given(
    words=st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=200),
    marked=st.sets(st.integers(0, 199)),
)
def test_a_snippet_lies_in_the_text_at_borders_of_words(words, marked):
    text = " ".join(words)
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])
    spans = [(int(starts[i]), int(starts[i]) + len(words[i])) for i in sorted(marked) if i < len(words)]
    begin, end = snippet(text, spans)
    assert 0 <= begin < end <= len(text) and end - begin <= SNIPPET
    assert begin == 0 or text[begin - 1] == " "
    assert end == len(text) or text[end] == " "
    if spans:
        assert any(first < end and last > begin for first, last in spans)


def test_one_question_from_the_command_line(retort, evaluated_path, run, searcher, deep):
    done = retort("search", run, "-w", evaluated_path, "--turn", deep.query_id, "--split", "dev", "--once", "--json")
    assert done.code == 0, done.err
    found = done.json()
    answer = searcher.ask(deep.question, deep.history, k=5)
    assert found["run"] == run and found["turn_number"] == deep.turn_number
    assert [passage["doc_id"] for passage in found["passages"]] == [hit.passage.doc_id for hit in answer.hits]
    assert found["FLOPS"] == pytest.approx(answer.flops)

    words = ["--history", deep.history[0].text, "--history", deep.history[1].text]
    shown = retort("search", run, deep.question, *words, "-w", evaluated_path, "--once", "-k", "1")
    best = searcher.ask(deep.question, [Message("user", words[1]), Message("agent", words[3])], k=1)
    assert shown.code == 0 and best.hits[0].passage.doc_id in shown.out and "asked" in shown.out


def test_a_conversation(retort, evaluated_path, run, searcher, deep, monkeypatch):
    first, second = deep.history[0].text, deep.question
    lines = ["", first, "1", second, "because", "/new", first, "/quit"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    done = retort("search", run, "-w", evaluated_path, "-k", "2")
    assert done.code == 0, done.err
    best = searcher.ask(first, k=2).hits[0].passage
    follow_up = searcher.ask(second, [Message("user", first), Message("agent", best.text)], k=2)
    views = done.out.split("> ")
    assert follow_up.hits[0].passage.doc_id in done.out and "turn 2> " in done.out
    assert "turn 3> \nturn 1> " in done.out and len(views) == 9  # /new; one prompt a line


def test_the_end_of_the_input_ends_it(retort, evaluated_path, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert retort("search", run, "-w", evaluated_path).code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--once"], "--once needs a QUESTION"),
        (["where?", "--json"], "add --once"),
        (["where?", "--turn", "1_1"], "--turn brings its own question"),
        (["--turn", "nowhere_1", "--once"], "nowhere_1"),
    ],
)
def test_what_does_not_go_together_is_told_of(retort, evaluated_path, run, words, says):
    done = retort("search", run, "-w", evaluated_path, *words)
    assert (done.code, done.out) == (2, "") and says in done.err
