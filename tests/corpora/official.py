"""Small corpora of our own words, written in each official form with its quirks.

All of them say the same: twelve conversations of three turns about made-up towns, 48 passages. What is special about a
form stands beside its writer. ``write`` functions fill a folder and return the words of the import's command.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# No real ones: nothing that a tokeniser or a model could know.
TOWNS = (
    "Arkeld",
    "Bromsey",
    "Calvane",
    "Dornwick",
    "Estrup",
    "Farlowe",
    "Gimsel",
    "Hartane",
    "Ilvesby",
    "Jorrick",
    "Kelmond",
    "Lundrey",
)
ASPECTS = {
    "river": ("Which river runs through {}?", "Which one runs through it?", "the {} water", "A stream crosses {}"),
    "bridge": ("Who built the bridge of {}?", "Who built its bridge?", "a mason", "An arch of stone spans {}"),
    "market": ("When is market day in {}?", "And market day there?", "on Fridays", "Traders meet weekly in {}"),
}


def passages() -> list[tuple[str, str, str]]:
    """(title, text, key) of each passage; key is ``town/aspect`` for the relevant ones."""
    found = []
    for number, town in enumerate(TOWNS):
        for aspect, (_, _, _, text) in ASPECTS.items():
            found.append(
                (town, f"{text.format(town)}; the {aspect} number {number} is known far away.", f"{town}/{aspect}")
            )
        found.append((town, f"{town} lies on a hill and has {number + 3} mills.", ""))
    return found


def doc_of(town: str, aspect: str) -> int:
    """The relevant passage's place."""
    return next(place for place, (_, _, key) in enumerate(passages()) if key == f"{town}/{aspect}")


def turns() -> list[tuple[int, int, str, str, str, int]]:
    """(conversation, turn, question, rewrite, answer, relevant passage)."""
    found = []
    for number, town in enumerate(TOWNS, start=1):
        for place, (aspect, (full, short, answer, _)) in enumerate(ASPECTS.items(), start=1):
            question = full.format(town) if place == 1 else short
            found.append((number, place, question, full.format(town), answer.format(town), doc_of(town, aspect)))
    return found


def by_conversation() -> dict[int, list[tuple[int, int, str, str, str, int]]]:
    grouped: dict[int, list] = {}
    for turn in turns():
        grouped.setdefault(turn[0], []).append(turn)
    return grouped


def dump(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def dump_lines(path: Path, records: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_qrels(path: Path, rows: list[tuple[str, str, int]], second: str = "0", separator: str = " ") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(separator.join((q, second, d, str(r))) + "\n" for q, d, r in rows), encoding="utf-8")
    return path


def topiocqa(folder: Path) -> list[object]:
    """Topics oldest first; ids from 1, text before title, titles "Article [SEP] Section", an unanswerable turn."""
    records, rewrites = [], []
    for conversation in by_conversation().values():
        said: list[str] = []
        for number, place, question, rewrite, answer, doc in conversation:
            answer = "UNANSWERABLE" if (number, place) == (1, 3) else answer
            gold = {"title": "t", "text": passages()[doc][1], "passage_id": str(doc + 1)}
            common = {"conv_id": number, "turn_id": place, "answers": [answer], "positive_ctxs": [gold]}
            records.append(common | {"question": " [SEP] ".join([*said, question]), "hard_negative_ctxs": []})
            rewrites.append(common | {"question": rewrite})
            said += [question, answer]
    rows = [f"{n}\t{text}\t{title} [SEP] Overview" for n, (title, text, _) in enumerate(passages(), start=1)]
    collection = folder / "full_wiki_segments.tsv"
    collection.write_text("\n".join(["id\ttext\ttitle", *rows]) + "\n", encoding="utf-8")
    topics = dump(folder / "all_history.json", records)
    own = dump(folder / "rewrites_t5_qrecc.json", rewrites)
    return ["import", "topiocqa", topics, collection, "--rewrites", f"human={own}"]


def topiocqa_original(folder: Path) -> list[object]:
    """The question alone: the history is that of the records before it. The collection is zstd here."""
    words = topiocqa(folder)
    records = json.loads((folder / "all_history.json").read_text())
    for record in records:
        record["question"] = record["question"].rpartition(" [SEP] ")[2]
    topics = dump(folder / "original.json", records)
    packed = folder / "full_wiki_segments.tsv.zst"
    packed.write_bytes(pa.compress((folder / "full_wiki_segments.tsv").read_bytes(), codec="zstd", asbytes=True))
    return ["import", "topiocqa", topics, packed, *words[4:], "--variant", "original"]


def qrecc(folder: Path) -> list[object]:
    """Ids ``URL_pN`` in several folders, gzipped; turns without gold; a first question that does not stand alone."""
    ids = [f"https://example.org/{title.lower()}/_p{number}" for number, (title, _, _) in enumerate(passages())]
    for place, name in enumerate(("commoncrawl", "wayback", "wayback-backfill")):
        lines = [{"id": ids[n], "contents": passages()[n][1]} for n in range(place, len(ids), 3)]
        path = dump_lines(folder / name / "part-0.jsonl", lines)
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    records = []
    for conversation in by_conversation().values():
        said: list[str] = []
        for number, place, question, rewrite, answer, doc in conversation:
            asked = "And its river?" if place == 1 else question
            gold = [] if (number, place) == (2, 2) else [ids[doc]]
            records.append(
                {"Context": list(said), "Question": asked, "Truth_rewrite": rewrite, "Truth_answer": answer}
                | {"Conversation_no": number, "Turn_no": place, "Conversation_source": "quac", "Truth_passages": gold}
            )
            said += [asked, answer]
    topics = dump(folder / "scai-qrecc21-training-turns.json", records)
    folders = [folder / name for name in ("commoncrawl", "wayback", "wayback-backfill")]
    return ["import", "qrecc", topics, *folders]


def marco_and_car(folder: Path) -> tuple[list[object], list[str]]:
    """MS MARCO's passages with bare ids, TREC CAR's with their own; a duplicate that the track lists."""
    half = len(passages()) // 2
    marco = [f"{n}\t{text}" for n, (_, text, _) in enumerate(passages()[:half])]
    (folder / "collection.tsv").write_text("\n".join([*marco, f"999\t{passages()[0][1]}"]) + "\n", encoding="utf-8")
    car = [{"id": f"CAR_{n:04x}", "contents": text} for n, (_, text, _) in enumerate(passages()[half:], start=half)]
    dump_lines(folder / "car.jsonl", car)
    (folder / "duplicates.txt").write_text("MARCO_0:MARCO_999\n", encoding="utf-8")
    ids = [f"MARCO_{n}" if n < half else f"CAR_{n:04x}" for n in range(len(passages()))]
    words = [f"MARCO_={folder / 'collection.tsv'}", folder / "car.jsonl", "--duplicates", folder / "duplicates.txt"]
    return words, ids


def cast2019(folder: Path) -> list[object]:
    """No responses; resolved questions beside; "Q0" in the qrels, grades, some turns unjudged."""
    collection, ids = marco_and_car(folder)
    topics = [
        {"number": 30 + number, "title": TOWNS[number - 1], "description": "A town.", "turn": own}
        for number, conversation in by_conversation().items()
        for own in [[{"number": t[1], "raw_utterance": t[2]} for t in conversation]]
    ]
    path = dump(folder / "evaluation_topics_v1.0.json", topics)
    resolved = folder / "resolved.tsv"
    resolved.write_text("".join(f"{30 + t[0]}_{t[1]}\t{t[3]}\n" for t in turns()), encoding="utf-8")
    rows = [(f"{30 + t[0]}_{t[1]}", ids[t[5]], 1 + t[0] % 4) for t in turns() if (t[0], t[1]) != (1, 2)]
    rows.append(("31_1", ids[-1], 0))
    qrels = write_qrels(folder / "2019qrels.txt", rows, second="Q0")
    return ["import", "cast", path, *collection, "--year", 2019, "--resolved", resolved, "--qrels", qrels]


def cast2020(folder: Path) -> list[object]:
    """Canonical responses by id, one of which the collection lacks (WaPo); a turn without a rewrite; relevant from 2."""
    collection, ids = marco_and_car(folder)
    topics = []
    for number, conversation in by_conversation().items():
        own = []
        for _, place, question, rewrite, _, doc in conversation:
            response = "WAPO_1" if (number, place) == (3, 1) else ids[doc]
            turn = {"number": place, "raw_utterance": question, "manual_canonical_result_id": response}
            if (number, place) != (4, 2):
                turn["manual_rewritten_utterance"] = rewrite
            own.append(turn)
        topics.append({"number": 80 + number, "title": TOWNS[number - 1], "turn": own})
    path = dump(folder / "2020_manual_evaluation_topics_v1.0.json", topics)
    rows = [(f"{80 + t[0]}_{t[1]}", ids[t[5]], 2 + t[0] % 3) for t in turns()]
    rows += [(f"{80 + t[0]}_{t[1]}", ids[(t[5] + 1) % len(ids)], 1) for t in turns()]
    qrels = write_qrels(folder / "2020qrels.txt", rows, separator="\t")
    return ["import", "cast", path, *collection, "--year", 2020, "--qrels", qrels]


def cast2021(folder: Path) -> list[object]:
    """The responses' text is in the file; documents are judged; a turn number that is there twice."""
    ids = [f"MARCO_D{n}" for n in range(len(passages()))]
    dump_lines(folder / "documents.jsonl", [{"id": i, "contents": p[1]} for i, p in zip(ids, passages(), strict=True)])
    topics = []
    for number, conversation in by_conversation().items():
        own = [
            {"number": place, "raw_utterance": question, "manual_rewritten_utterance": rewrite, "passage": answer}
            | {"automatic_rewritten_utterance": rewrite.lower(), "canonical_result_id": ids[doc], "passage_id": 3}
            for _, place, question, rewrite, answer, doc in conversation
        ]
        if number == 2:
            own.insert(2, own[1] | {"raw_utterance": "Is that true?"})
        topics.append({"number": 105 + number, "turn": own})
    path = dump(folder / "2021_manual_evaluation_topics_v1.0.json", topics)
    qrels = write_qrels(
        folder / "trec-cast-qrels-docs.2021.qrel", [(f"{105 + t[0]}_{t[1]}", ids[t[5]], 2) for t in turns()]
    )
    return ["import", "cast", path, folder / "documents.jsonl", "--year", 2021, "--qrels", qrels]


def cast2022_nodes() -> tuple[list[dict], list[str]]:
    """Trees: questions and responses are nodes; the third question follows the first response, in a branch of its own."""
    ids = [f"MARCO_{n % 60:02d}_{n}-1" for n in range(len(passages()))]
    topics = []
    for number, conversation in by_conversation().items():
        nodes: list[dict] = []
        for (_, _, question, rewrite, answer, doc), name, parent in zip(
            conversation, ("1-1", "1-3", "2-1"), (None, "1-2", "1-2"), strict=True
        ):
            branch, _, node = name.partition("-")
            user = {"number": name, "participant": "User", "utterance": question, "manual_rewritten_utterance": rewrite}
            system = {
                "number": f"{branch}-{int(node) + 1}",
                "parent": name,
                "participant": "System",
                "response": answer,
            }
            nodes += [user | ({} if parent is None else {"parent": parent}), system | {"provenance": [ids[doc]]}]
        topics.append({"number": 131 + number, "turn": nodes})
    return topics, ids


def cast2022(folder: Path) -> list[object]:
    """The tree file."""
    topics, ids = cast2022_nodes()
    dump_lines(folder / "passages.jsonl", [{"id": i, "contents": p[1]} for i, p in zip(ids, passages(), strict=True)])
    path = dump(folder / "2022_evaluation_topics_tree_v1.0.json", topics)
    names = {1: "1-1", 2: "1-3", 3: "2-1"}
    qrels = write_qrels(folder / "cast2022.qrel", [(f"{131 + t[0]}_{names[t[1]]}", ids[t[5]], 3) for t in turns()])
    return ["import", "cast", path, folder / "passages.jsonl", "--year", 2022, "--qrels", qrels]


def cast2022_flattened(folder: Path) -> list[object]:
    """The same trees as paths: topics and the beginnings of their paths are repeated."""
    words = cast2022(folder)
    topics, _ = cast2022_nodes()
    paths = []
    for topic in topics:
        users = [n for n in topic["turn"] if n["participant"] == "User"]
        responses = {n["parent"]: n for n in topic["turn"] if n["participant"] == "System"}
        merged = {}
        for user in users:
            own = {key: value for key, value in user.items() if key not in ("participant", "parent")}
            answer = responses[user["number"]]
            merged[user["number"]] = own | {"response": answer["response"], "provenance": answer["provenance"]}
        for last in ("1-3", "2-1"):
            paths.append({"number": topic["number"], "turn": [merged["1-1"], merged[last]]})
    path = dump(folder / "2022_evaluation_topics_flattened_duplicated_v1.0.json", paths)
    return ["import", "cast", path, *words[3:]]


def ikat_ids() -> list[str]:
    return [f"clueweb22-en{n:04d}-35-01897:{n % 7}" for n in range(len(passages()))]


def write_clueweb(folder: Path) -> Path:
    """Parquet, gzipped: the passages of a licensed collection, as somebody converted them."""
    table = pa.table({"id": ikat_ids(), "contents": [text for _, text, _ in passages()]})
    pq.write_table(table, folder / "passages.parquet")
    packed = folder / "passages.parquet.gz"
    packed.write_bytes(gzip.compress((folder / "passages.parquet").read_bytes()))
    (folder / "passages.parquet").unlink()
    return packed


def ikat2023(folder: Path) -> list[object]:
    """``number`` is text, the PTKB an object; a turn without a rewrite, one without provenance; some turns judged."""
    topics = []
    for number, conversation in by_conversation().items():
        own = []
        for _, place, question, rewrite, answer, doc in conversation:
            turn = {
                "turn_id": place,
                "utterance": question,
                "response": answer,
                "ptkb_provenance": [1] if place == 2 else [],
            }
            turn["response_provenance"] = [] if (number, place) == (1, 1) else [ikat_ids()[doc]]
            own.append(turn | ({} if (number, place) == (2, 1) else {"resolved_utterance": rewrite}))
        statements = {"1": f"I live in {TOWNS[number - 1]}.", "2": "I do not drive."}
        topics.append({"number": f"{number}-1", "title": "Towns", "ptkb": statements, "turns": own})
    path = dump(folder / "2023_test_topics.json", topics)
    rows = [(f"{t[0]}-1_{t[1]}", ikat_ids()[t[5]], 2) for t in turns() if t[0] < 11]
    qrels = write_qrels(folder / "2023-qrels.all-turns.txt", rows)
    return ["import", "ikat", path, write_clueweb(folder), "--year", 2023, "--qrels", qrels]


def ikat2024(folder: Path) -> list[object]:
    """``number`` is a number; without qrels the responses' provenance is what is relevant."""
    words = ikat2023(folder)
    topics = json.loads((folder / "2023_test_topics.json").read_text())
    for number, topic in enumerate(topics):
        topic["number"] = number
    return ["import", "ikat", dump(folder / "2024_test_topics.json", topics), words[3], "--year", 2024]


def ikat2025(folder: Path) -> list[object]:
    """The PTKB is a list; the turns stand under "responses", with other keys and the statements themselves."""
    topics = []
    for number, conversation in by_conversation().items():
        statements = [f"I live in {TOWNS[number - 1]}.", "I do not drive."]
        own = [
            {"turn_id": place, "user_utterance": question, "resolved_utterance": rewrite, "response": answer}
            | {"relevant_ptkbs": statements[:1] if place == 2 else [], "citations": [ikat_ids()[doc]]}
            for _, place, question, rewrite, answer, doc in conversation
        ]
        topics.append({"number": f"{number}", "title": "Towns", "ptkb": statements, "responses": own})
    path = dump(folder / "2025_test_topics.json", topics)
    return ["import", "ikat", path, write_clueweb(folder), "--year", 2025]


def mtrag(folder: Path) -> list[object]:
    """All questions in one text; ids ``conversation<::>turn``; answers and rewrites in files of their own."""
    ids = [f"{n:08d}-0-{500 + n}" for n in range(len(passages()))]
    lines = [{"_id": i, "id": i, "title": p[0], "text": p[1], "url": ""} for i, p in zip(ids, passages(), strict=True)]
    dump_lines(folder / "towns.jsonl", lines)
    questions, rewrites, tasks, rows = [], [], [], []
    for number, conversation in by_conversation().items():
        asked: list[str] = []
        said: list[dict] = []
        for _, place, question, rewrite, answer, doc in conversation:
            query_id = f"{number:032x}<::>{place}"
            asked.append(f"|user|: {question}")
            said.append({"speaker": "user", "text": question})
            questions.append({"_id": query_id, "text": "\n".join(asked)})
            rewrites.append({"_id": query_id, "text": f"|user|: {rewrite}"})
            tasks.append({"task_id": query_id, "input": list(said), "contexts": []})
            said.append({"speaker": "agent", "text": answer})
            rows.append(f"{query_id}\t{ids[doc]}\t1")
    (folder / "dev.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n", encoding="utf-8")
    path = dump_lines(folder / "towns_questions.jsonl", questions)
    more = ["--conversations", dump_lines(folder / "reference.jsonl", tasks)]
    more += ["--rewrites", dump_lines(folder / "towns_rewrite.jsonl", rewrites)]
    return ["import", "mtrag", path, folder / "towns.jsonl", "--qrels", folder / "dev.tsv", *more]


def beir(folder: Path) -> list[object]:
    """Queries of other splits among them; the corpus is gzipped."""
    lines = [{"_id": f"d{n}", "title": t, "text": x, "metadata": {}} for n, (t, x, _) in enumerate(passages())]
    path = dump_lines(folder / "corpus.jsonl", lines)
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    dump_lines(folder / "queries.jsonl", [{"_id": f"q{n}", "text": t[3]} for n, t in enumerate(turns())])
    rows = [f"q{n}\td{t[5]}\t1" for n, t in enumerate(turns()) if n % 9]
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text(
        "\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n", encoding="utf-8"
    )
    return ["import", "beir", folder]


def msmarco(folder: Path) -> list[object]:
    """Two columns and no header, qrels with tabs."""
    rows = [f"{n}\t{text}" for n, (_, text, _) in enumerate(passages())]
    (folder / "collection.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    queries = "".join(f"{1000 + n}\t{t[3]}\n" for n, t in enumerate(turns()))
    (folder / "queries.train.tsv").write_text(queries, encoding="utf-8")
    judged = [(f"{1000 + n}", str(t[5]), 1) for n, t in enumerate(turns())]
    qrels = write_qrels(folder / "qrels.train.tsv", judged, separator="\t")
    return ["import", "msmarco", folder / "collection.tsv", "--queries", folder / "queries.train.tsv", "--qrels", qrels]


def jsonl(folder: Path) -> list[object]:
    """Our own records."""
    lines = [{"doc_id": f"p{n}", "title": t, "text": x} for n, (t, x, _) in enumerate(passages())]
    records = []
    for number, conversation in by_conversation().items():
        said: list[dict] = []
        for _, place, question, _, answer, doc in conversation:
            records.append(
                {"query_id": f"c{number}/{place}", "conversation_id": f"c{number}", "turn_number": place}
                | {"history": list(said), "question": question, "answer": answer, "positives": [f"p{doc}"]}
                | {"attributes": {"kind": "town"}}
            )
            said += [{"role": "user", "text": question}, {"role": "agent", "text": answer}]
    path = dump_lines(folder / "turns.jsonl", records)
    return ["import", "jsonl", path, dump_lines(folder / "passages.jsonl", lines)]


CORPORA: dict[str, Callable[[Path], list[object]]] = {
    writer.__name__: writer
    for writer in (
        topiocqa,
        topiocqa_original,
        qrecc,
        cast2019,
        cast2020,
        cast2021,
        cast2022,
        cast2022_flattened,
        ikat2023,
        ikat2024,
        ikat2025,
        mtrag,
        beir,
        msmarco,
        jsonl,
    )
}
