"""Local models: tiny ones of the tests' own, against transformers' own generate one text at a time."""

import shutil

import pytest
import torch
from tests.tiny_models import TEMPLATE, tiny_chat, tiny_t5

from retort.config import RewritingConfig
from retort.errors import ConfigError
from retort.records import Message, Turn
from retort.teachers.local import LocalModel, check_local, local_digest
from retort.teachers.prompts import Prompt, ask_for, load_prompt
from retort.teachers.rewriter import rewrite_turns

BARE = Prompt("bare", "Be brief.", "{dialogue}", "bars", (), "0" * 64)


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return tiny_t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    return tiny_chat(tmp_path_factory.mktemp("chat"))


def turns(count=7, words=3):
    history = (Message("user", "What is a retort?"), Message("agent", "A vessel " * words))
    return [Turn(f"c_{n}", "c", 2, history[: n % 3], f"who wrote it {'again ' * n}?") for n in range(count)]


def config(path, **more):
    return RewritingConfig(model=str(path), **{"max_new_tokens": 40, "batch_turns": 3, **more})


def alone(model, tokenizer, text, *, special, limit=40):
    """One text, greedily, token by token."""
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=special)["input_ids"]
    ends, written = set(model.generation_config.eos_token_id), []
    decoder = torch.tensor([[0]])
    while len(written) < limit:
        with torch.inference_mode():
            if model.config.is_encoder_decoder:
                logits = model(input_ids=ids, decoder_input_ids=decoder).logits
            else:
                logits = model(input_ids=torch.cat([ids, torch.tensor([written], dtype=torch.int64)], dim=1)).logits
        token = int(logits[0, -1].argmax())
        if token in ends:
            return tokenizer.decode(written, skip_special_tokens=True), len(written) + 1
        written.append(token)
        decoder = torch.tensor([[0, *written]])
    return None, len(written)


@pytest.mark.parametrize("kind", ["t5", "chat"])
def test_a_batch_answers_what_every_text_alone_would(kind, request):
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    path = request.getfixturevalue(kind)
    outcomes = rewrite_turns(turns(), BARE, LocalModel(config(path)))
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = (AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM).from_pretrained(path).eval()

    assert [outcome.query_id for outcome in outcomes] == [turn.query_id for turn in turns()]
    rewritten = 0
    for turn, outcome in zip(turns(), outcomes, strict=True):
        ask = ask_for(turn, BARE)
        text = (
            f"{ask.system}\n\n{ask.user}"
            if kind == "t5"
            else (f"<system>{ask.system}</s><user>{ask.user}</s><assistant>")
        )
        expected, written = alone(model, tokenizer, text, special=kind == "t5")
        assert outcome.output_tokens == written
        assert outcome.input_tokens == len(tokenizer(text, add_special_tokens=kind == "t5")["input_ids"])
        if expected is None:
            assert outcome.reason == "the answer was cut at 40 tokens; raise --max-new-tokens"
        else:
            assert outcome.rewrite == (" ".join(expected.split()) or None)
            rewritten += outcome.rewrite is not None
    assert rewritten > 0


def test_sampling_is_seeded(chat):
    def drawn(seed):
        model = LocalModel(config(chat, temperature=1.5, seed=seed))
        return [outcome.rewrite for outcome in rewrite_turns(turns(), BARE, model)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_a_long_conversation_loses_its_oldest_messages_first(tmp_path):
    path = tiny_chat(tmp_path / "short", longest=200)
    model = LocalModel(config(path, max_new_tokens=20))
    history = tuple(Message("agent" if n % 2 else "user", f"message {n} " * 3) for n in range(12))
    long = Turn("c_7", "c", 7, history, "and now?")
    newest = model.newest_that_fit(long, BARE)
    tokens = [len(model._text(ask_for(long, BARE, newest=n))) for n in range(13)]

    assert newest is not None and 0 < newest < 12
    (outcome,) = rewrite_turns([long], BARE, model)
    assert outcome.input_tokens <= 180
    text = ask_for(long, BARE, newest=newest).user
    assert "message 11" in text and "message 0" not in text and text.endswith("and now?")
    assert tokens == sorted(tokens)


def test_a_question_that_is_too_long_by_itself_fails_alone(tmp_path):
    path = tiny_chat(tmp_path / "short", longest=200)
    model = LocalModel(config(path, max_new_tokens=20))
    short, long = Turn("a", "a", 1, (), "who?"), Turn("b", "b", 1, (), "who " * 100)
    outcomes = rewrite_turns([long, short], BARE, model)

    assert outcomes[0].rewrite is None and "the model reads 180" in outcomes[0].reason
    assert outcomes[1].input_tokens > 0


def test_a_template_without_system_messages_gets_one_message(tmp_path):
    path = tiny_chat(tmp_path / "strict", template=TEMPLATE.replace("and refuse", "and true"))
    model = LocalModel(config(path))
    assert model._text(ask_for(turns()[0], BARE)) == "<user>Be brief.\n\nwho wrote it ?</s><assistant>"


def test_what_cannot_write_is_refused_before_it_is_loaded(tmp_path, t5, chat):
    for path in (t5, chat):
        check_local(config(path))
    with pytest.raises(ConfigError, match="is no local directory, and cannot be had from the hub"):
        check_local(config(tmp_path / "nowhere" / "at" / "all"))
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"architectures": ["BertForMaskedLM"]}')
    with pytest.raises(ConfigError, match=r"writes no text \(its config.json names \['BertForMaskedLM'\]\)"):
        check_local(config(tmp_path / "bert"))
    with pytest.raises(ConfigError, match="has no chat template, so it is no chat model"):
        LocalModel(config(tiny_chat(tmp_path / "base", template=None)))
    with pytest.raises(ConfigError, match="leave no room for a prompt"):
        LocalModel(config(tiny_chat(tmp_path / "short", longest=100), max_new_tokens=100))


def test_a_models_identity_is_its_content(tmp_path, chat):
    copy = shutil.copytree(chat, tmp_path / "copy")
    assert local_digest(str(copy)) == local_digest(str(chat))
    (copy / "chat_template.jinja").write_text(TEMPLATE + " ")
    assert local_digest(str(copy)) != local_digest(str(chat))


def test_the_packages_prompts_run_through_both(t5, chat):
    for path, name in ((t5, "canard"), (chat, "self_contained"), (chat, "question_and_response")):
        outcomes = rewrite_turns(turns(3), load_prompt(name), LocalModel(config(path)))
        assert len(outcomes) == 3 and all((o.rewrite is None) == bool(o.reason) for o in outcomes)
