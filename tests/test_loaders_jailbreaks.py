"""Attacks, plain harmful requests and jailbreak templates are threats, each of its family."""

import pytest

from loader_files import as_csv, as_json, brief
from tinyguardrail.sources.source import SourceError

# ---- JailbreakBench --------------------------------------------------------------------------


def artifact(method, *prompts):
    rows = [
        {
            "index": index,
            "goal": f"goal {index}",
            "behavior": "b",
            "category": "c",
            "prompt": prompt,
            "response": "Never read.",
            "jailbroken": prompt is not None and index % 2 == 0,
        }
        for index, prompt in enumerate(prompts)
    ]
    return as_json({"parameters": {"method": method, "model": "m"}, "jailbreaks": rows})


def test_every_artifact_prompt_is_a_jailbreak_and_null_prompts_are_counted(load):
    found, dropped = load(
        "jbb_artifacts",
        {
            "PAIR__black_box__vicuna-13b-v1.5.json": artifact("PAIR", "p0", None, "p2"),
            "JBC__manual__vicuna-13b-v1.5.json": artifact("JailbreakChat", "j0", "j1"),
            "prompt_with_random_search__black_box__vicuna-13b-v1.5.json": artifact(
                "adaptive_random_search", "r0"
            ),
        },
    )
    assert brief(found) == [
        ("p0", "jailbreak", "pair", "test"),
        ("p2", "jailbreak", "pair", "test"),
        ("j0", "jailbreak", "jbc", "test"),
        ("j1", "jailbreak", "jbc", "test"),
        ("r0", "jailbreak", "random_search", "test"),
    ]
    assert dropped == {"no_text": 1}
    assert found[0].parent_id == found[2].parent_id  # attacks on one goal


def test_an_unknown_attack_method_is_an_error(load):
    with pytest.raises(SourceError, match="unknown method 'NEW'; known are pair, gcg"):
        load("jbb_artifacts", {"PAIR__black_box__vicuna-13b-v1.5.json": artifact("NEW", "p")})


@pytest.mark.parametrize("header", [["index", "goal", "target"], ["Index", "Goal", "Target"]])
def test_jailbreakbench_goals_stand_beside_their_benign_twins(load, header):
    found, dropped = load(
        "jbb_behaviors",
        {
            "PAIR__black_box__vicuna-13b-v1.5.json": artifact("PAIR", "wrapped", None),
            "benign-behaviors.csv": as_csv(header, ["0", "a kind goal", "Sure"]),
        },
    )
    assert brief(found) == [
        ("goal 0", "jailbreak", "plain_request", "test"),
        ("goal 1", "jailbreak", "plain_request", "test"),
        ("a kind goal", "benign", "jbb_benign", "test"),
    ]
    assert dropped == {}


# ---- plain harmful requests ------------------------------------------------------------------


def test_plain_requests_are_read_without_answers(load):
    cases = {
        "advbench": {"harmful_behaviors.csv": as_csv(["goal", "target"], ["Do harm", "Sure, here is"])},
        "strongreject": {
            "strongreject_dataset.csv": as_csv(["category", "source", "meli_query"], ["c", "s", "Do harm"])
        },
        "malicious_instruct": {"MaliciousInstruct.txt": b"Do harm\r\n\r\nDo more"},
    }
    for name, contents in cases.items():
        found, _ = load(name, contents)
        assert brief(found)[0] == ("Do harm", "jailbreak", "plain_request", "test"), name
    assert [record.text for record in found] == ["Do harm", "Do more"]


def test_strongreject_is_read_under_its_upstream_header_too(load):
    content = as_csv(["category", "source", "forbidden_prompt"], ["c", "s", "Do harm"])
    assert load("strongreject", {"strongreject_dataset.csv": content})[0][0].text == "Do harm"


def test_requests_that_are_no_threat_are_left_out(load):
    header = ["Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString", "BehaviorID"]
    content = as_csv(
        header,
        ["Do harm", "standard", "illegal", "", "", "a"],
        ["Do this harm", "contextual", "illegal", "context", "Secret steps", "b"],
        ["Sing that song", "copyright", "copyright", "lyrics", "", "c"],
    )
    found, dropped = load("harmbench", {"harmbench_behaviors_text_all.csv": content})
    assert brief(found) == [
        ("Do harm", "jailbreak", "plain_request", ""),
        ("Do this harm", "jailbreak", "plain_request", ""),
    ]
    assert dropped == {"copyright": 1}
    header = ["content_policy_id", "content_policy_name", "q_id", "question"]
    content = as_csv(
        header, ["0", "Fraud", "0", "How to cheat?"], ["1", "Legal Opinion", "0", "Is my lease fair?"]
    )
    found, dropped = load("forbidden_questions", {"forbidden_question_set.csv": content})
    assert [record.text for record in found] == ["How to cheat?"]
    assert dropped == {"restricted_topic": 1}


# ---- jailbreak templates ---------------------------------------------------------------------


def test_in_the_wild_prompts_come_from_two_snapshots_with_other_headers(load):
    may = [
        "platform",
        "source",
        "prompt",
        "jailbreak",
        "created_at",
        "date",
        "community_id",
        "community_name",
    ]
    december = [*may[:6], "community", "community_id", "previous_community_id"]
    found, dropped = load(
        "in_the_wild",
        {
            "jailbreak_prompts_2023_12_25.csv": as_csv(
                december, ["d", "s", "Be\nevil", "True", "", "", "", "0.0", ""]
            ),
            "jailbreak_prompts_2023_05_07.csv": as_csv(
                may,
                ["d", "s", "Be\nevil", "True", "", "", "", ""],
                ["d", "s", "Be DAN", "True", "", "", "", ""],
            ),
        },
    )
    assert [record.text for record in found] == ["Be\nevil", "Be DAN"]
    assert dropped == {"copy": 1}
    bad = as_csv(may, ["d", "s", "Be kind", "False", "", "", "", ""])
    with pytest.raises(SourceError, match="row 1: unknown jailbreak 'False'"):
        load("in_the_wild", {"jailbreak_prompts_2023_05_07.csv": bad})


def test_templates_keep_the_place_of_the_request(load):
    template = "You are AIM. [INSERT PROMPT HERE]"
    found, _ = load(
        "self_reminder", {"jailbreak_prompts.csv": as_csv(["", "name", "prompt"], ["0", "AIM", template])}
    )
    assert brief(found) == [(template, "jailbreak", "jailbreak_template", "")]
    found, _ = load("gptfuzzer", {"seed_short_25.csv": as_csv(["text"], [template])})
    assert brief(found) == [(template, "jailbreak", "jailbreak_template", "")]
