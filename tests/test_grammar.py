"""The authored grammar reads back, damage is named, and a pair differs in its object alone."""

from collections import Counter
from pathlib import Path

import pytest

from tinyguardrail.sources.source import SourceError
from tinyguardrail.synthesis.grammar import Grammar

ROOT = Path(__file__).parent.parent
GOOD = """- kind: trigger_words_counterfactual
  language: en
  intent: harm
  frame: "How do I kill {object}?"
  harmless: ["a process"]
  hostile: ["my neighbour"]
- kind: persona
  label: benign
  language: en
  frames: ["You are a baker. {request}"]
- language: en
  openers: ["Hello!"]
  closers: ["Thanks."]
"""


def read(tmp_path, content):
    (tmp_path / "a.yaml").write_text(content, encoding="utf-8")
    return Grammar(tmp_path)


def test_three_kinds_of_entries_are_told_apart(tmp_path):
    grammar = read(tmp_path, GOOD)
    (pair,) = grammar.counterfactuals
    assert (pair.fill(pair.harmless[0]), pair.fill(pair.hostile[0])) == (
        "How do I kill a process?",
        "How do I kill my neighbour?",
    )
    assert grammar.request_frames[0].frames == ["You are a baker. {request}"]
    assert grammar.affixes["en"].closers == ["Thanks."]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kill {object}", "kill it", r"entry 1: frame: .*must hold \{object\} once"),
        ("{request}", "{request} {request}", r"entry 2: frames\.0: .*must hold \{request\} once"),
        ("intent: harm", "intent: benign", "entry 1: intent"),
        ("label: benign", "label: nice", "entry 2: label"),
        ('["a process"]', '["a process", "a process"]', "entry 1: harmless: .*all differ"),
        ("openers:", "opener:", "entry 3: expected a mapping with one of the keys"),
        ('closers: ["Thanks."]', 'closers: ["Thanks."]\n  tone: kind', "entry 3: tone"),
        ("- kind: persona", "- kind: [", "not YAML"),
    ],
)
def test_damage_is_named_by_file_and_entry(tmp_path, old, new, says):
    with pytest.raises(SourceError, match=says) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path / 'a.yaml'}: ")
    assert "\n" not in str(caught.value)


MORE = """- language: en
  slots: {character: [Ada], setting: [a ship], twist: [It rains.], city: [Ghent]}
- {language: en, group: fraud, about: people, topics: [{noun: a, gerund: b, verb: c, people: d}]}
- {language: en, label: benign, about: any, topic_frames: ["What is the law on {gerund}?"]}
- {language: en, takes: story, shells: ["You are {character}. {task}"]}
- {language: en, takes: story, label: benign, tasks: [Sing.]}
- {language: en, code: false, planted_tasks: [Count to ten.]}
- language: en
  family: email
  layouts: ["<<title>>: <<body>>"]
  documents: [{title: Hi, body: "See you in <<city>> at <<time>>, room <<n:1-9>>."}]
- {language: en, family: table, tables: [{title: T, columns: {A: "<<city>>", B: "<<n:1-9>>"}}]}
"""


def test_topics_scenarios_documents_and_planted_tasks_are_read(tmp_path):
    grammar = read(tmp_path, MORE)
    assert grammar.topics[0].topics[0].gerund == "b"
    assert grammar.topic_frames[0].label == "benign"
    assert (grammar.shells[0].takes, grammar.scenario_tasks[0].tasks) == ("story", ["Sing."])
    assert grammar.planted_tasks[0].planted_tasks == ["Count to ten."]
    assert [entry.family for entry in grammar.documents] == ["email", "table"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("people: d}", "doers: d}", r"entry 2: topics\.0\."),
        ("on {gerund}", "on {victim}", r"entry 3: topic_frames\.0: .*must hold slots of noun"),
        ("{task}", "{twist}", r"entry 4: shells\.0: .*must hold \{task\} once"),
        ("tasks: [Sing.]", "tasks: [Sing., Sing.]", "entry 5: tasks: .*all differ"),
        ("code: false", "code: maybe", "entry 6: code"),
        (": <<body>>", "", r"entry 7: layouts\.0: .*must hold <<body>> once"),
        ("in <<city>>", "in <<town>>", "email: nothing fills <<town>>"),
        ("room <<n:1-9>>", "room <<n:few>>", "email: nothing fills <<n>>"),
        ('A: "<<city>>"', 'A: "<<town>>"', "table: nothing fills <<town>>"),
        ("character: [Ada], ", "", "shells in en lack slots character"),
        ("You are {character}", "You are {hero}", r"entry 4: shells\.0: .*must hold slots of character"),
    ],
)
def test_damage_in_topics_scenarios_and_documents_is_named(tmp_path, old, new, says):
    with pytest.raises(SourceError, match=says):
        read(tmp_path, MORE.replace(old, new))


def test_values_of_a_slot_add_up_over_entries(tmp_path):
    grammar = read(
        tmp_path, MORE + "- {language: en, slots: {twist: [It snows., It rains.], role: [a cook]}}"
    )
    assert grammar.slots["en"]["twist"] == ["It rains.", "It snows."]
    assert grammar.slots["en"]["role"] == ["a cook"]


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"no \*\.yaml file"):
        Grammar(tmp_path)


def test_the_committed_grammar_covers_the_design():
    grammar = Grammar(ROOT / "data/corpus/grammar")
    languages = Counter(each.language for each in grammar.counterfactuals)
    assert languages["en"] >= 100
    assert len(languages) >= 13, "English and at least twelve further languages"
    for each in grammar.counterfactuals:
        assert not set(each.harmless) & set(each.hostile), each.frame
    assert languages.keys() <= grammar.affixes.keys()
    framed = Counter((each.language, each.label) for each in grammar.request_frames)
    for language, _ in framed:
        assert framed[language, "benign"], language
    assert {language for language, label in framed if label == "jailbreak"} >= {"en", "de", "zh", "ar", "hi"}
    assert any(each.kind == "code_question" for each in grammar.request_frames)
    topics = [topic for entry in grammar.topics for topic in entry.topics]
    assert len({topic.noun for topic in topics}) == len(topics) >= 100
    for label in ("benign", "jailbreak"):
        asks = [ask for each in grammar.topic_frames if each.label == label for ask in each.topic_frames]
        tasks = [task for each in grammar.scenario_tasks if each.label == label for task in each.tasks]
        assert len(asks) >= 60
        assert len(tasks) >= 300
    assert sum(len(each.shells) for each in grammar.shells) >= 250
    assert sum(len(each.planted_tasks) for each in grammar.planted_tasks) >= 150
