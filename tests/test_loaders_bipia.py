"""BIPIA's payloads are planted in contexts of their role, evenly and at every position."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader_files import as_json, as_jsonl
from tinyguardrail.data.contexts import POSITIONS, insert
from tinyguardrail.sources.loaders.bipia import _deal


def bipia_files(train_emails, test_emails):
    def emails(contexts):
        return as_jsonl(
            *({"context": text, "question": f"Q: {text[:3]}?", "ideal": "x"} for text in contexts)
        )

    def tables(role):
        return as_jsonl({"ideal": "1", "context": f"| a |\n| {role} |\n", "question": "how many?"})

    def codes(role):
        code = {
            "error": ["Traceback", ""],
            "code": [f"{role}()"],
            "context": ["", f"Call {role}"],
            "ideal": ["x"],
        }
        return as_jsonl({**code, "context_url": "u", "context_author_url": ["a"]})

    files = {"email_train.jsonl": emails(train_emails), "email_test.jsonl": emails(test_emails)}
    for role in ("train", "test"):
        files[f"table_{role}.jsonl"] = tables(role)
        files[f"code_{role}.jsonl"] = codes(role)
        texts = {"Chat": [f"{role} chat 0", f"{role} chat 1"], "Spam": [f"{role} spam 0", f"{role} spam 1"]}
        files[f"text_attack_{role}.json"] = as_json(texts)
        files[f"code_attack_{role}.json"] = as_json({"Theft": [f"{role} steal()", f"{role} rob()"]})
    return files


def test_bipia_plants_payloads_of_the_same_role_and_keeps_clean_contexts_beside_them(load):
    mails = [f"M{number}. Dear all. We meet at {number}." for number in range(6)]
    shared = "Shared.  The same mail."
    files = bipia_files([*mails, mails[0], shared], [shared.replace("  ", " "), "T. Another mail."])
    found, dropped = load("bipia", files)
    assert dropped == {"repeated_context": 1, "context_in_test": 1}
    contexts = {
        parent: [r for r in found if r.parent_id == parent] for parent in {r.parent_id for r in found}
    }
    assert len(contexts) == 6 + 2 + 4  # mails of train and test, and a table and a code answer of each
    for rows in contexts.values():
        clean_row = next(record for record in rows if record.family.endswith("_clean"))
        assert Counter(record.label for record in rows) == {"direct_injection": 2, "benign": 2}
        assert len({record.split for record in rows}) == 1
        assert all(set(clean_row.text.split()) <= set(record.text.split()) for record in rows)
        for record in rows:
            if record.label == "direct_injection":
                role = "test" if record.split else "train"
                other = {"test": "train", "train": "test"}[role]
                words = ("steal()", "rob()") if record.family == "bipia_code" else ("chat", "spam")
                assert any(f"{role} {word}" in record.text for word in words)
                assert not any(f"{other} {word}" in record.text for word in words)
    questions = [record.text for record in found if record.family.endswith("_question")]
    assert not any("Q:" in text for text in questions)  # no mark that payloads have not
    assert sum("How many?" in text for text in questions) == 2
    injected = [record.text for record in found if record.family == "bipia_email" and not record.split]
    used = Counter(
        kind for text in injected for kind in ("chat 0", "chat 1", "spam 0", "spam 1") if kind in text
    )
    assert set(used.values()) == {3}


def test_payloads_are_dealt_evenly_at_every_position():
    turns = _deal([f"p{number}" for number in range(75)])
    dealt = Counter(next(turns) for _ in range(75 * 3))
    assert len(dealt) == 75 * 3  # each payload once at each position
    assert set(dealt.values()) == {1}


@given(st.text(max_size=200), st.sampled_from(POSITIONS))
def test_taking_the_payload_out_gives_the_context_back(context, position):
    planted = insert(context, "PAYLOAD\ue000", position)
    before, after = planted.split("PAYLOAD\ue000")
    assert context in {before + after[1:], before + after, before[:-1] + after}


def test_the_middle_is_a_line_or_sentence_boundary():
    table = "".join(f"| row {number} | Mr. X |\n" for number in range(6))
    lines = insert(table, "PAYLOAD", "middle").splitlines()
    assert lines[3] == "PAYLOAD"
    assert [line for line in lines if line != "PAYLOAD"] == table.splitlines()
    assert insert("One. Two is long. Three.", "P.", "middle") == "One. Two is long. P. Three."
    assert insert("Header\nOne. Two. Three. Four. Five. Six.", "P.", "middle").startswith("Header\nOne. Two.")
    assert insert("no boundary here", "P", "middle") == insert("no boundary here", "P", "end")
    assert insert("a", "P", "start") == "P\na"
    with pytest.raises(ValueError, match="position 'top' must be one of start, middle, end"):
        insert("a", "P", "top")
