"""A turn's context: hand examples, and the properties that every setting must keep."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retort.config import ContextConfig
from retort.corpora.context import context_ids, context_of, context_text, fit_context
from retort.records import Message, Turn
from retort.sparse.tokens import Tokenizer, build_word_tokenizer

HISTORY = tuple(
    Message("agent" if i % 2 else "user", text) for i, text in enumerate(["q1", "a1", "q2", "a2", "q3", "a3"])
)


def turn(history=HISTORY, question="q4"):
    return Turn("c_4", "c", 4, tuple(history), question, "the answer")


def test_the_history_is_newest_first_whatever_the_order_of_the_text():
    assert context_of(turn(), ContextConfig()).history == ("a3", "q3", "a2", "q2", "a1", "q1")
    assert context_text(turn(), ContextConfig()) == "q4 [SEP] a3 [SEP] q3 [SEP] a2 [SEP] q2 [SEP] a1 [SEP] q1"
    oldest_first = ContextConfig(order="oldest_first")
    assert context_of(turn(), oldest_first).history == ("a3", "q3", "a2", "q2", "a1", "q1")
    assert context_text(turn(), oldest_first) == "q1 [SEP] a1 [SEP] q2 [SEP] a2 [SEP] q3 [SEP] a3 [SEP] q4"


def test_last_turns_are_user_turns_with_their_answers():
    assert context_of(turn(), ContextConfig(last_turns=1)).history == ("a3", "q3")
    assert context_of(turn(), ContextConfig(last_turns=2, answers=False)).history == ("q3", "q2")
    assert context_of(turn(), ContextConfig(last_turns=9)).history == context_of(turn(), ContextConfig()).history


def test_a_first_turn_is_its_question():
    assert context_text(turn(history=()), ContextConfig(last_turns=3)) == "q4"


def test_the_answer_of_the_turn_itself_is_never_in_it():
    assert "the answer" not in context_text(turn(), ContextConfig())


messages = st.lists(st.builds(Message, st.sampled_from(["user", "agent"]), st.text(max_size=5)), max_size=9)
configs = st.builds(
    ContextConfig,
    order=st.sampled_from(["newest_first", "oldest_first"]),
    answers=st.booleans(),
    last_turns=st.none() | st.integers(1, 5),
)


@given(history=messages, question=st.text(min_size=1), config=configs)
def test_the_question_is_always_there_and_the_history_is_a_newest_part_of_what_was_said(history, question, config):
    context = context_of(turn(history, question), config)
    said = [m.text for m in reversed(history) if m.text and (config.answers or m.role == "user")]

    assert context.question == question
    assert list(context.history) == said[: len(context.history)]
    if config.last_turns is None:
        assert len(context.history) == len(said)
    text = context_text(turn(history, question), config)
    assert text.startswith(question) if config.order == "newest_first" else text.endswith(question)


@given(history=messages, config=configs)
def test_more_last_turns_only_add(history, config):
    sizes = [
        len(context_of(turn(history), config.model_copy(update={"last_turns": n})).history) for n in [1, 2, 3, None]
    ]
    assert sizes == sorted(sizes)


# -- what is kept on purpose, separators, and the budget ----------------------------------------------------------------

WORDS = [f"w{i}" for i in range(40)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """One token a word, for the forty words that the tests say, and for two separators."""
    folder = tmp_path_factory.mktemp("tokenizer")
    build_word_tokenizer([" ".join(WORDS)] * 3 + ["; ; ; | | |"] * 3, vocabulary_size=400, directory=folder)
    return Tokenizer(folder)


def spelled(tokenizer, ids):
    return " ".join(tokenizer.token(int(i)) for i in ids)


KNOWN = {"ptkb": "w30 w31\nw32", "ptkb_relevant": "w32"}


def said(number):
    """A turn with so many turns before it; message i is the words 2i and 2i + 1."""
    history = tuple(Message("agent" if i % 2 else "user", f"w{2 * i} w{2 * i + 1}") for i in range(2 * (number - 1)))
    return Turn(f"c_{number}", "c", number, history, "w38 w39", attributes=dict(KNOWN))


@pytest.mark.parametrize(
    ("settings", "budget", "expected"),
    [
        ({}, 99, "[CLS] w38 w39 [SEP] w6 w7 [SEP] w4 w5 [SEP] w2 w3 [SEP] w0 w1 [SEP]"),
        ({}, 9, "[CLS] w38 w39 [SEP] w6 w7 [SEP] w4 [SEP]"),
        ({"order": "oldest_first"}, 9, "[CLS] w5 [SEP] w6 w7 [SEP] w38 w39 [SEP]"),
        ({"first_turn": True}, 99, "[CLS] w38 w39 [SEP] w6 w7 [SEP] w4 w5 [SEP] w2 w3 [SEP] w0 w1 [SEP]"),
        ({"first_turn": True}, 9, "[CLS] w38 w39 [SEP] w6 [SEP] w0 w1 [SEP]"),
        ({"first_turn": True, "last_turns": 1}, 99, "[CLS] w38 w39 [SEP] w6 w7 [SEP] w4 w5 [SEP] w0 w1 [SEP]"),
        ({"first_turn": True, "order": "oldest_first"}, 9, "[CLS] w0 w1 [SEP] w7 [SEP] w38 w39 [SEP]"),
        ({"separator": ";", "last_turns": 1}, 99, "[CLS] w38 w39 ; w6 w7 ; w4 w5 [SEP]"),
        ({"separator": "", "last_turns": 1}, 99, "[CLS] w38 w39 w6 w7 w4 w5 [SEP]"),
        ({"separator": "| |", "last_turns": 1}, 9, "[CLS] w38 w39 | | w6 w7 [SEP]"),
        ({"ptkb": "all", "last_turns": 1}, 99, "[CLS] w38 w39 [SEP] w30 w31 [SEP] w32 [SEP] w6 w7 [SEP] w4 w5 [SEP]"),
        ({"ptkb": "relevant", "last_turns": 1}, 8, "[CLS] w38 w39 [SEP] w32 [SEP] w6 [SEP]"),
        (
            {"ptkb": "all", "order": "oldest_first", "answers": False, "first_turn": True},
            99,
            "[CLS] w0 w1 [SEP] w4 w5 [SEP] w30 w31 [SEP] w32 [SEP] w38 w39 [SEP]",
        ),
    ],
)
def test_what_the_student_reads(tokenizer, settings, budget, expected):
    config = ContextConfig(**settings)
    ids = context_ids(tokenizer, context_of(said(3), config), config, max_tokens=budget)
    assert spelled(tokenizer, ids) == expected


def test_the_context_as_text_has_the_same_order():
    config = ContextConfig(ptkb="all", first_turn=True, separator=";", last_turns=1, answers=False)
    assert context_text(said(3), config) == "w38 w39 ; w30 w31 ; w32 ; w4 w5 ; w0 w1"
    oldest = config.model_copy(update={"order": "oldest_first"})
    assert context_text(said(3), oldest) == "w0 w1 ; w4 w5 ; w30 w31 ; w32 ; w38 w39"


wordy = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
all_configs = st.builds(
    ContextConfig,
    order=st.sampled_from(["newest_first", "oldest_first"]),
    answers=st.booleans(),
    last_turns=st.none() | st.integers(1, 4),
    first_turn=st.booleans(),
    separator=st.sampled_from(["[SEP]", "", ";", "| |"]),
    ptkb=st.sampled_from(["none", "all", "relevant"]),
)
wordy_turns = st.builds(
    lambda history, question, ptkb: Turn("c_9", "c", 9, tuple(history), question, attributes={"ptkb": ptkb}),
    st.lists(st.builds(Message, st.sampled_from(["user", "agent"]), wordy), max_size=8),
    wordy.filter(bool),
    wordy,
)


@given(turn=wordy_turns, config=all_configs, budget=st.integers(4, 60))
def test_the_question_is_never_cut_and_the_budget_holds(tokenizer, turn, config, budget):
    fitted = fit_context(tokenizer, context_of(turn, config), config, max_tokens=budget)
    words = spelled(tokenizer, fitted.ids).split()
    asked = turn.question.split()

    assert len(fitted.ids) <= budget
    assert words[0] == "[CLS]" and words[-1] == "[SEP]"
    place = 0 if config.order == "newest_first" else -1
    segment = fitted.segments[place]
    assert segment.text == turn.question and len(segment.kept) == min(segment.tokens, budget - 2)
    assume(len(asked) <= budget - 2)
    assert (words[1 : 1 + len(asked)] if place == 0 else words[-1 - len(asked) : -1]) == asked


@given(turn=wordy_turns, config=all_configs, budget=st.integers(4, 60))
def test_only_the_oldest_end_of_the_history_is_cut(tokenizer, turn, config, budget):
    context = context_of(turn, config)
    fitted = fit_context(tokenizer, context, config, max_tokens=budget)
    segments = fitted.segments if config.order == "newest_first" else fitted.segments[::-1]
    begins = 1 + len(context.statements)
    history = segments[begins : begins + len(context.history)]
    assert [s.text for s in history] == list(context.history)
    whole = [len(s.kept) == s.tokens for s in history]
    # From the first message that is not whole, nothing older is read, save that it may hold no words at all.
    cut = whole.index(False) if False in whole else len(whole)
    assert all(not len(s.kept) for s in history[cut + 1 :])
    # What is kept on purpose has room before any of the history.
    if any(len(s.kept) for s in history):
        on_purpose = [*segments[1:begins], *segments[begins + len(context.history) :]]
        assert all(len(s.kept) == s.tokens for s in on_purpose)


@given(turn=wordy_turns, config=configs, budget=st.integers(4, 60))
def test_what_was_read_before_there_were_more_settings_is_read_still(tokenizer, turn, config, budget):
    # The tokeniser's own function is the oracle: rewrites and last questions go through it.
    context = context_of(turn, config)
    expected = tokenizer.context_ids(context.question, context.history, order=config.order, max_tokens=budget)
    assert context_ids(tokenizer, context, config, max_tokens=budget).tolist() == expected.tolist()


def test_new_settings_are_in_the_identity_only_where_they_are_set():
    assert ContextConfig().identity() == {"order": "newest_first", "answers": True, "last_turns": None}
    assert ContextConfig(first_turn=True, ptkb="all").identity() == {
        "order": "newest_first",
        "answers": True,
        "last_turns": None,
        "first_turn": True,
        "ptkb": "all",
    }
    assert ContextConfig(separator=";").identity()["separator"] == ";"
