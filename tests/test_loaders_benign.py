"""Instructions stand without their answers, and texts of many languages keep theirs."""

import pytest

from loader_files import as_json, as_jsonl
from tinyguardrail.sources.source import SourceError


def test_an_instruction_stands_with_its_input_and_without_its_output(load):
    rows = [
        {"instruction": "Sort", "input": "b, a", "output": "a, b"},
        {"instruction": "Sort", "input": "d, c", "output": "c, d"},
        {"instruction": "Sing", "input": "<noinput>", "output": "la"},
    ]
    seed = {"id": "s", "name": "n", "instruction": "Why?", "instances": [{"input": "", "output": "So."}]}
    found, _ = load("alpaca", {"alpaca_5000.json": as_json(rows), "seed_tasks.jsonl": as_jsonl(seed)})
    assert [record.text for record in found] == ["Sort\n\nb, a", "Sort\n\nd, c", "Sing", "Why?"]
    assert found[0].parent_id == found[1].parent_id != found[2].parent_id
    rows = [{"instruction": "Play a judge", "input": "", "output": ""}]
    name = "roleplay-simple-deduped-roleplay-dataset.json"
    assert load("gpteacher", {name: as_json(rows)})[0][0].family == "role_play"
    name = "toolformer-similarity-0.6-dataset.json"
    assert load("gpteacher", {name: as_json([{**rows[0], "example_input": ""}])})[0][0].family == "tool_use"


def xquad_file(context, question):
    answers = [{"text": "x", "answer_start": 0}]
    paragraph = {"context": context, "qas": [{"answers": answers, "id": "q1", "question": question}]}
    return as_json({"data": [{"paragraphs": [paragraph], "title": "t"}], "version": "1.1"})


def test_parallel_paragraphs_share_a_parent_and_keep_their_language(load):
    found, _ = load(
        "xquad",
        {
            "xquad.de.json": xquad_file("Ein Absatz.", "Warum?"),
            "xquad.zh.json": xquad_file("一段话。", "为什么？"),
        },
    )
    assert [(record.family, record.language) for record in found] == [
        ("paragraph", "de"),
        ("question", "de"),
        ("paragraph", "zh"),
        ("question", "zh"),
    ]
    assert len({record.parent_id for record in found}) == 1


def test_sentences_are_read_from_conllu_comments(load):
    def conllu(text):
        return (
            f"# newdoc id = n1\n# sent_id = n1001\n# text = {text}\n# text_en = A = B\n1\tX\t_\n\n".encode()
        )

    found, _ = load(
        "ud_pud", {"fr_pud-ud-test.conllu": conllu("A = B, non ?"), "ko_pud-ud-test.conllu": conllu("예.")}
    )
    assert [(record.text, record.language) for record in found] == [("A = B, non ?", "fr"), ("예.", "ko")]
    assert {record.parent_id for record in found} == {"ud_pud/n1001"}
    with pytest.raises(SourceError, match="line 1: text without a sent_id"):
        load("ud_pud", {"fr_pud-ud-test.conllu": b"# text = a\n"})


def test_wikitext_lines_become_articles_and_nothing_is_lost(load):
    text = (
        " \n = One = \n \n First <unk> line . \n = = Part = = \n \n A table : \n = Played , W = \n 1 2 \n"
        " \n = Two ( album ) = \n \n = = Songs = = \n \n Text . \n"
    )
    found, _ = load("wikitext_2", {"train.txt": text.encode(), "valid.txt": text.encode()})
    assert [record.split for record in found] == ["train", "train", "validation", "validation"]
    assert "".join(record.text for record in found[:2]) == text
    assert found[1].text.startswith(" \n = Two ( album ) = \n")
