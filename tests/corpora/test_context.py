"""A turn's context: hand examples, and the properties that every setting must keep."""

from hypothesis import given
from hypothesis import strategies as st

from retort.config import ContextConfig
from retort.corpora.context import context_of, context_text
from retort.records import Message, Turn

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
