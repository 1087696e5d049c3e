"""Prompts: what of a turn is in them, what of an answer is the rewrite, and what makes two prompts the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.errors import ConfigError
from retort.records import Message, Turn
from retort.teachers.prompts import Prompt, ask_for, load_prompt, prompt_names, rewrite_in


def turn(question="And who  wrote it?", history=("What is a retort?", "A vessel.\nOf glass.")):
    messages = tuple(Message("agent" if place % 2 else "user", text) for place, text in enumerate(history))
    return Turn("c_2", "c", 2, messages, question, answer="SECRET ANSWER")


def own(tmp_path, text, name="mine.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_packages_prompts_are_those_of_the_field():
    assert prompt_names() == ["canard", "informative", "question_and_response", "self_contained"]
    prompts = [load_prompt(name) for name in prompt_names()]
    assert len({prompt.fingerprint for prompt in prompts}) == 4


@pytest.mark.parametrize("name", ["informative", "question_and_response", "self_contained"])
def test_a_chat_prompt_shows_the_conversation_and_never_the_answer(name):
    ask = ask_for(turn(), load_prompt(name))

    assert "User: What is a retort?\nAgent: A vessel. Of glass.\n" in ask.user
    assert "Latest question: And who wrote it?\n" in ask.user
    assert ask.system is not None and ask.query_id == "c_2"
    assert "SECRET" not in ask.user and "{" not in ask.user


def test_canard_is_utterances_between_bars():
    prompt = load_prompt("canard")
    assert ask_for(turn(), prompt).user == "What is a retort? ||| A vessel. Of glass. ||| And who wrote it?"
    assert ask_for(turn(history=()), prompt).user == "And who wrote it?"


def test_a_first_question_and_a_cut_history_are_said_so():
    prompt = load_prompt("self_contained")
    assert "there is none: this is the first question" in ask_for(turn(history=()), prompt).user
    newest = ask_for(turn(), prompt, newest=1).user
    assert "Agent: A vessel." in newest and "What is a retort" not in newest
    assert ask_for(turn(), prompt, newest=0).user == ask_for(turn(history=()), prompt).user
    assert ask_for(turn(), prompt, newest=9).user == ask_for(turn(), prompt).user


@given(question=st.text(min_size=1), said=st.lists(st.text(), max_size=4))
def test_the_question_is_always_whole_and_nothing_is_filled_in_twice(question, said):
    prompt = Prompt("p", None, "<{history}|{question}|{dialogue}>", "lines", (), "0" * 64)
    text = ask_for(turn(question, said), prompt).user
    shown = " ".join(question.split())

    assert f"|{shown}|" in text
    assert text.endswith(f"User: {shown}>")


def test_a_place_in_a_question_is_text():
    prompt = load_prompt("self_contained")
    assert "Latest question: what is {history}?" in ask_for(turn("what is {history}?"), prompt).user


@pytest.mark.parametrize(
    ("answer", "rewrite"),
    [
        (" Who wrote\nthe book? \n", "Who wrote the book?"),
        ("<think>Hm.\nThe book.</think>\n\nWho wrote the book?", "Who wrote the book?"),
    ],
)
def test_a_plain_answer_is_the_rewrite_on_one_line(answer, rewrite):
    assert rewrite_in(answer, load_prompt("self_contained")) == (rewrite, "")


@pytest.mark.parametrize("answer", ["", " \n", "<think>x</think> "])
def test_an_empty_answer_is_none(answer):
    assert rewrite_in(answer, load_prompt("self_contained")) == (None, "the answer is empty")


def test_thoughts_that_do_not_end_are_no_rewrite():
    rewrite, reason = rewrite_in("<think>The user", load_prompt("self_contained"))
    assert rewrite is None and "cut off in the model's thoughts" in reason


@pytest.mark.parametrize(
    "answer",
    [
        "Question: Who wrote it?\nResponse: A chemist\ndid.",
        "Sure!\n**Question:** Who wrote it?\n\n**Response**: A chemist did.",
        "- RESPONSE: A chemist did.\n- question: Who wrote it?",
    ],
)
def test_a_labelled_answer_is_put_together_in_the_labels_order(answer):
    assert rewrite_in(answer, load_prompt("question_and_response")) == ("Who wrote it? A chemist did.", "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Who wrote it?", "the answer has no Question: line and no Response: line"),
        ("Question: Who?\nResponse: ", "the answer has no Response: line"),
    ],
)
def test_a_labelled_answer_without_its_labels_is_none(answer, reason):
    assert rewrite_in(answer, load_prompt("question_and_response")) == (None, reason)


def test_a_prompt_of_ones_own_is_a_file_and_its_text_alone_is_its_identity(tmp_path):
    plain = load_prompt(own(tmp_path, "Rewrite: {question}\n", "a.txt"))
    same = load_prompt(own(tmp_path, "# a comment\nabout: mine\nuser: 'Rewrite: {question}'\n"))
    other = load_prompt(own(tmp_path, "user: 'Rewrite, please: {question}'\n", "c.yaml"))

    assert (plain.name, same.name) == ("a", "mine")
    assert plain.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("user: hello {history}", "has neither {question} nor {dialogue}"),
        ("system: x", "user: is missing"),
        ("user: '{question}'\nusr: x", "usr: unknown key; did you mean user"),
        ("user: '{question}'\nanswer: labelled", "give both, or neither"),
        ("user: '{question}'\nlabels: [a]", "give both, or neither"),
        ("user: '{question}'\nanswer: labelled\nlabels: [a, A]", "must differ"),
        ("user: [", "is no valid YAML"),
        ("[1]", "expected settings as key: value, got list"),
    ],
)
def test_what_is_no_prompt_is_refused_with_its_file(tmp_path, text, problem):
    path = own(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_prompt(path)
    assert problem in str(caught.value) and str(caught.value).startswith(path)


def test_an_unknown_prompt_names_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"'nothing' is none of canard, informative, .* no file that can be read"):
        load_prompt("nothing")
    path = tmp_path / "latin.txt"
    path.write_bytes(b"\xff {question}")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_prompt(str(path))
