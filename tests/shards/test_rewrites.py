"""Generating rewrites from the command line: estimates, failures, kills, secrets; endpoints and local models."""

import json
import subprocess
import sys
import threading
import time

import fsspec
import pytest
from tests.chat_server import ChatServer, completion, refusal
from tests.tiny_models import tiny_chat, tiny_t5
from tests.waiting import patience

from retort.corpora.turns import read_turns, write_turns
from retort.records import Turn
from retort.storage import Workspace
from retort.teachers.imports import read_rewrites
from retort.teachers.prompts import load_prompt

KEY = "sk-secret-4711-do-not-tell"


@pytest.fixture
def questions(imported_path):
    """The dev split's questions; the corpus asks some of them more than once."""
    return [turn.question for turn in read_turns(Workspace(imported_path), "dev")]


@pytest.fixture
def generate(retort, imported_copy, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def run(server, *words, teacher="llm"):
        return retort(
            "rewrites", "generate", "--teacher", teacher, "--model", "m", "--split", "dev", "-w", imported_copy,
            "--base-url", server.url, *words,
        )  # fmt: skip

    run.workspace = Workspace(imported_copy)
    return run


def test_every_turn_of_a_split_is_rewritten_and_the_same_again_asks_nothing(generate, questions):
    with ChatServer() as server:
        done = generate(server, "--yes", "--json", "--price-in", "2", "--price-out", "10")
        assert done.code == 0, done.err
        asked = sum(server.asked.values())
        again = generate(server, "--yes")
        assert sum(server.asked.values()) == asked == len(questions)

    assert done.json() == {
        "teacher": "llm", "split": "dev", "rewrites": len(questions), "turns": len(questions), "asked": len(questions),
        "failed": {}, "left": 0, "input_tokens": 100 * asked, "output_tokens": 10 * asked,
        "cost": pytest.approx(asked * (100 * 2 + 10 * 10) / 1e6),
    }  # fmt: skip
    assert again.code == 0 and "0 turns are to be asked for" in again.out
    assert f"cost so far {asked * 3e-4:.4g}" in done.err and f"{asked} of {asked}" in done.err
    rewrites = read_rewrites(generate.workspace, "llm", "dev")
    turns = read_turns(generate.workspace, "dev")
    assert rewrites == {turn.query_id: f"about {' '.join(turn.question.split())}" for turn in turns}
    record = generate.workspace.folder("rewrites/llm/dev").record()
    assert record.config == {
        "backend": "endpoint",
        "model": "m",
        "temperature": 0.0,
        "prompt": load_prompt("self_contained").fingerprint,
    }
    assert record.counts["prompt"] == "self_contained" and record.counts["failed"] == {}


def test_what_failed_is_told_and_asked_for_again_alone(generate, questions):
    bad = sorted(set(questions))[:2]
    lines = {bad[0]: refusal(400, "no such thing"), bad[1]: completion(" ")}
    number = sum(question in lines for question in questions)
    with ChatServer(lambda question, attempt: lines.get(question, completion("fine"))) as server:
        first = generate(server, "--yes")
        assert first.code == 1
        assert sum(server.asked.values()) == len(questions)
        assert f"{number} failed; the same command again asks for them alone" in first.out
        assert "HTTP 400: no such thing" in first.out and "the answer is empty" in first.out
        before = generate.workspace.folder("rewrites/llm/dev").record()
        assert before.counts["without"] == number and sum(before.counts["failed"].values()) == number

        server.script = lambda question, attempt: completion("at last")
        server.asked.clear()
        second = generate(server, "--yes")
        assert second.code == 0 and "failed before" in second.out
        assert sum(server.asked.values()) == number and set(server.asked) == set(lines)

    rewrites = read_rewrites(generate.workspace, "llm", "dev")
    assert sorted(rewrites.values()) == ["at last"] * number + ["fine"] * (len(questions) - number)
    after = generate.workspace.folder("rewrites/llm/dev").record()
    assert after.counts["without"] == 0 and after.fingerprint != before.fingerprint


def test_a_higher_limit_of_tokens_asks_for_the_cut_ones_alone(generate, questions):
    cut = questions[0]
    number = questions.count(cut)

    def script(question, attempt):
        return completion("half a", finish="length") if question == cut else completion("fine")

    with ChatServer(script) as server:
        assert generate(server, "--yes").code == 1
        server.asked.clear()
        server.script = lambda question, attempt: completion("whole")
        assert generate(server, "--yes", "--max-new-tokens", "512").code == 0
        assert server.asked == {cut: number}


def test_nothing_is_asked_without_a_yes_nor_in_a_dry_run(generate, questions, listing, imported_copy):
    before = listing(imported_copy)
    with ChatServer() as server:
        refused = generate(server, "--price-in", "1", "--price-out", "4")
        dry = generate(server, "--dry-run", "--json")
        assert sum(server.asked.values()) == 0

    assert refused.code == 2 and "say --yes, or --dry-run" in refused.err
    assert f"{len(questions)} turns are to be asked for" in refused.out and "cost: at most about" in refused.out
    estimate = dry.json()["estimate"]
    assert dry.code == 0 and estimate["turns"] == len(questions) and estimate["price"] is None
    assert estimate["output_tokens"] == 256 * len(questions) and estimate["input_tokens"] > 150 * len(questions)
    assert listing(imported_copy) == before


def test_a_few_turns_first_and_then_the_rest(generate, questions):
    with ChatServer() as server:
        few = generate(server, "--yes", "--limit", "5")
        assert few.code == 0 and sum(server.asked.values()) == 5
        assert f"{len(questions) - 5} turns are left out" in few.out
        assert generate.workspace.folder("rewrites/llm/dev").record() is None
        assert generate(server, "--yes").code == 0
        assert sum(server.asked.values()) == len(questions)


def test_a_teachers_name_is_for_one_model_and_prompt(generate, tmp_path):
    with ChatServer() as server:
        assert generate(server, "--yes").code == 0
        asked = sum(server.asked.values())
        for words in (("--prompt", "informative"), ("--temperature", "1"), ("--prompt", prompt_file(tmp_path))):
            other = generate(server, "--yes", *words)
            assert other.code == 2 and "do not come from this model and prompt; nothing was asked" in other.err
        synthetic = generate(server, "--yes", teacher="synthetic")
        assert synthetic.code == 2 and "has rewrites of 'dev' already" in synthetic.err
        assert sum(server.asked.values()) == asked
        own = generate(server, "--yes", "--prompt", prompt_file(tmp_path), teacher="mine")
        assert own.code == 0, own.err
        assert server.bodies[-1]["messages"][0]["content"].startswith("Say it anew")


def prompt_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Say it anew. Latest question: {question}\n{history}")
    return path


def test_a_dead_endpoint_and_nothing_but_failures_end_with_1_and_write_no_rewrites(generate):
    with ChatServer(lambda question, attempt: refusal(401, f"Incorrect API key: {KEY}")) as server:
        refused = generate(server, "--yes")
    assert refused.code == 1 and "answers nothing: HTTP 401" in refused.err and KEY not in refused.err
    with ChatServer(lambda question, attempt: completion("")) as server:
        empty = generate(server, "--yes")
    assert empty.code == 1 and "no turn has a rewrite" in empty.err and "the answer is empty" in empty.err
    assert generate.workspace.folder("rewrites/llm/dev").record() is None


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--concurrency", "0"), "endpoint.concurrency: Input should be greater than 0, got 0"),
        (("--price-in", "1"), "price_in and price_out are given together"),
        (("--prompt", "nothing"), "prompt: 'nothing' is none of canard, informative"),
        (("--backend", "hf"), "--base-url is for the backend endpoint"),
        (("--base-url", f"http://me:{KEY}@127.0.0.1/v1"), "base_url must not hold a user, a password"),
        (("--base-url", f"http://127.0.0.1/v1?key={KEY}"), "base_url must not hold a user, a password, a query"),
        (("--base-url", f"ftp://{KEY}"), "base_url must be an address"),
        (("--base-url", f"http://[{KEY}"), "base_url must be an address"),
    ],
)
def test_mistakes_are_told_before_anything_starts_and_without_a_secret(generate, words, problem):
    with ChatServer() as server:
        done = generate(server, "--yes", *words)
        assert not server.asked
    assert done.code == 2 and problem in done.err and KEY not in done.err


def test_vllm_is_an_extra(retort, imported_copy):
    done = retort(
        "rewrites",
        "generate",
        "--teacher",
        "t",
        "--model",
        "m",
        "--backend",
        "vllm",
        "--split",
        "dev",
        "-w",
        imported_copy,
    )
    assert done.code == 2 and "pip install 'retort[vllm]'" in done.err


def test_a_killed_generation_goes_on_and_pays_for_no_finished_turn_twice(tmp_path, environment, kill_when, started):
    """The server answers so many requests and is silent then, so that the kill finds some under way."""
    path, enough, gate = tmp_path / "workspace", 20, threading.Event()
    turns = [Turn(f"c{n}_1", f"c{n}", 1, (), f"question {n}") for n in range(60)]
    workspace = Workspace(path, create=True)
    write_turns(workspace, "dev", turns, [], inputs={"made": "here"})

    def script(question, attempt):
        if sum(server.asked.values()) > enough:
            gate.wait(patience(30))
            return 0.0
        return completion(f"about {question}")

    with ChatServer(script) as server:
        words = f"rewrites generate --teacher llm --model m --split dev -w {path} --yes --concurrency 4".split()
        words += ["--base-url", server.url]

        def journal():
            found = list(path.glob("generations/llm/dev-*/journal.jsonl"))
            return found[0].read_bytes().count(b"\n") if found else 0

        kill_when(words, lambda: journal() == enough)
        answered, asked = set(server.answered), set(server.asked)
        gate.set()
        server.script = lambda question, attempt: completion(f"about {question}")
        command = [sys.executable, "-m", "retort.cli", *words]
        done = started.finish(command, env=environment | {"PYTHONPATH": "platform"})
        assert done.returncode == 0, done.stderr

        # What was answered before the kill was not asked for again; what was under way was, once.
        assert len(answered) == enough and 0 < len(asked - answered) <= 4
        assert server.asked == {turn.question: 2 if turn.question in asked - answered else 1 for turn in turns}
    assert read_rewrites(workspace, "llm", "dev") == {turn.query_id: f"about {turn.question}" for turn in turns}


@pytest.mark.ray
@pytest.mark.parametrize("make", [tiny_t5, tiny_chat])
def test_local_models_rewrite_through_ray(make, retort, imported_copy, tmp_path, ray_session):
    model = make(tmp_path / "model")
    words = [
        "rewrites", "generate", "--teacher", "tiny", "--model", model, "--split", "dev", "-w", imported_copy,
        "--prompt", "canard" if make is tiny_t5 else "informative", "--max-new-tokens", "24", "--batch-turns", "4",
    ]  # fmt: skip
    done = retort(*words, "--json")
    told = done.json()
    assert done.code == (1 if told["failed"] else 0), done.err
    assert told["rewrites"] > 0 and told["asked"] == told["turns"] and told["cost"] is None
    assert told["rewrites"] + sum(told["failed"].values()) == told["turns"]
    workspace = Workspace(imported_copy)
    assert len(read_rewrites(workspace, "tiny", "dev")) == told["rewrites"]
    assert str(tmp_path) not in json.dumps(workspace.folder("rewrites/tiny/dev").record().config)

    again = retort(*words, "--json").json()
    assert again["asked"] == sum(told["failed"].values()) and again["rewrites"] == told["rewrites"]


@pytest.mark.slow
@pytest.mark.ray
def test_a_key_is_in_nothing_that_is_written(retort, imported_copy, experiment_file, monkeypatch, ray_session):
    """All that a workspace holds after generating, distilling and evaluating, MLflow's store too, and all that was said."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said = []
    with ChatServer(lambda q, n: completion(q) if hash(q) % 5 else refusal(400, f"key {KEY} is bad")) as server:
        for _ in range(2):
            said.append(
                retort(
                    "rewrites",
                    "generate",
                    "--teacher",
                    "llm",
                    "--model",
                    "m",
                    "--split",
                    "train",
                    "-w",
                    imported_copy,
                    "--base-url",
                    server.url,
                    "--yes",
                )
            )
            server.script = lambda question, attempt: completion(question)
        assert server.keys == {f"Bearer {KEY}"}
    said.append(retort("distill", experiment_file, "-w", imported_copy, "teacher.names=[llm]", "training.epochs=1"))
    said.append(retort("show", "turn", read_turns(Workspace(imported_copy), "train")[0].query_id, "-w", imported_copy))

    assert [done.code for done in said] == [1, 0, 0, 0], said[-2].err
    files = [path for path in imported_copy.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in files) and any(path.name == "journal.jsonl" for path in files)
    assert any(path.name == "record.json" for path in files)
    for piece in (KEY, KEY[3:14]):
        assert not [str(path) for path in files if piece.encode() in path.read_bytes()]
        assert not any(piece in done.out + done.err for done in said)


def test_two_processes_do_not_ask_twice(generate, questions, environment, imported_copy, started):
    def slow(question, attempt):
        time.sleep(0.02)
        return completion("fine")

    with ChatServer(slow) as server:
        other = started.start(
            [
                sys.executable, "-m", "retort.cli", "rewrites", "generate", "--teacher", "llm", "--model", "m", "--split",
                "dev", "-w", str(imported_copy), "--base-url", server.url, "--yes",
            ],
            env=environment | {"PYTHONPATH": "platform"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        done = generate(server, "--yes")
        assert other.wait(timeout=patience(60)) == done.code == 0
        assert sum(server.asked.values()) == len(questions)


def test_an_object_store_keeps_a_journal_in_parts(retort, monkeypatch, tmp_path):
    url = f"memory://{tmp_path.name}"
    workspace = Workspace(url, create=True)
    turns = [Turn(f"c{n}_1", f"c{n}", 1, (), f"question {n}") for n in range(70)]
    write_turns(workspace, "dev", turns, [], inputs={"made": "here"})

    def script(question, attempt):
        return refusal(401) if question == "question 60" else completion(f"about {question}")

    with ChatServer(script) as server:
        words = ["rewrites", "generate", "--teacher", "llm", "--model", "m", "--split", "dev", "-w", url, "--yes"]
        words += ["--base-url", server.url, "--concurrency", "1"]
        assert retort(*words).code == 1  # the key was taken back half way; what was answered is kept
        asked = dict(server.asked)
        server.script = lambda question, attempt: completion(f"about {question}")
        assert retort(*words).code == 0
        assert server.asked == {turn.question: 1 + (turn.question == "question 60") for turn in turns}
        assert len(asked) == 61
    assert len(read_rewrites(workspace, "llm", "dev")) == 70
    fsspec.filesystem("memory").store.clear()
