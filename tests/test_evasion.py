"""The search for a cheap route, and what is counted of it."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthetic_results import write_results
from synthetic_scores import INTENTS
from tinyguardrail.data.labels import LABEL_OF_INTENT
from tinyguardrail.data.records import Record, write_records
from tinyguardrail.runtime.guard import BranchScores, Scores
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.evasion import evaluate_evasion
from tinyguardrail_paper.analysis.routing import decide
from tinyguardrail_paper.analysis.scores import load_scores
from tinyguardrail_paper.experiments.evasion_search import AFFIXES, choose_texts, evade, search, variants
from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.settings.params import load_params

ROOT = Path(__file__).parent.parent


class WordGuard:
    """Sends a text deep by the value of its last word; tells threats by their first letter."""

    intents = INTENTS
    router_threshold = 0.5

    def __init__(self, value_of_last_word):
        self.values = value_of_last_word
        self.asked = []

    def score(self, texts, batch_size=16, router_threshold=None):
        threshold = self.router_threshold if router_threshold is None else router_threshold
        self.asked += [text for text in texts if router_threshold is None]
        router = np.array([self.values.get(text.split()[-1], 0.9) for text in texts])
        threat = np.array([0.8 if text.startswith("t") else 0.3 for text in texts])
        probabilities = np.stack([1 - threat, threat, 0 * threat, 0 * threat], axis=-1)
        none = np.array(["none"] * len(texts), dtype=object)
        return Scores(probabilities, router, router >= threshold, np.ones(len(texts), dtype=int), none)

    def score_branches(self, texts, batch_size=16):
        same = self.score(texts, batch_size, self.router_threshold)
        return BranchScores(
            same.probabilities, same.probabilities, same.router_score, same.tokens, same.family
        )


# ---- the search --------------------------------------------------------------------------


def test_every_affix_is_tried_on_both_sides_of_the_whole_text():
    tried = variants("do it", AFFIXES)
    assert len({each.text for each in tried}) == 2 * len(AFFIXES)
    for number, affix in enumerate(AFFIXES):
        by_name = {each.variant: each.text for each in tried}
        assert by_name[f"prefix_{number}"].startswith(affix)
        assert by_name[f"prefix_{number}"].endswith("do it")
        assert by_name[f"suffix_{number}"].startswith("do it")
        assert by_name[f"suffix_{number}"].endswith(affix)


def test_the_variant_with_the_lowest_score_is_kept():
    guard = WordGuard({"calm": 0.3, "quiet": 0.1})
    assert search(guard, "take over", ["be calm", "be quiet"], 1).variant == "suffix_1"


def test_a_text_that_no_variant_takes_past_the_deep_branch_stays_as_it_is():
    guard = WordGuard({"calm": 0.5})
    assert search(guard, "take over", ["be calm"], 1) == ("none", "take over")


def test_only_texts_that_go_deep_are_attacked_and_every_question_is_counted():
    guard = WordGuard({"easy": 0.2, "calm": 0.3})
    counts, columns = evade(guard, ["this easy", "take over"], ["be calm", "be loud"], 1)
    assert counts["attacked"] == counts["evaded"] == 1
    assert counts["queries"] == len(guard.asked) == 2 + 4
    assert columns["when"] == ["before", "before", "after", "after"]
    assert columns["variant"] == ["none", "none", "none", "suffix_0"]
    assert columns["deep"] == [False, True, False, False]
    assert (counts["deep_share_before"], counts["deep_share_after"]) == (0.5, 0.0)


def row(intent, number, split="test", transform="none"):
    label = LABEL_OF_INTENT[intent] if transform == "none" else "obfuscation"
    text, parent = f"text {intent} {number}", f"{intent}{number}"
    return Record(text, label, "authored", "x", transform, parent, "en", split, intent)


def test_texts_are_plain_test_threats_spread_evenly_over_intents():
    """Jailbreaks and harmful requests have one label, but each their share."""
    rows = [row("jailbreak", number) for number in range(50)]
    rows += [row("injection", number) for number in range(30)]
    rows += [row("harm", number) for number in range(20)]
    rows += [row("benign", 0), row("injection", 0, transform="flipattack_fcs")]
    rows += [row("jailbreak", 99, "validation")]
    chosen = choose_texts(rows, 30)
    assert Counter(rows[index].intent for index in chosen) == dict.fromkeys(INTENTS[1:], 10)
    assert {0, 49, 50, 79, 80, 99} <= set(chosen) <= set(range(100))  # both ends of every group


def test_what_a_small_intent_lacks_is_left_to_the_others():
    rows = [row("jailbreak", number) for number in range(50)]
    rows += [row("injection", 0)] + [row("harm", number) for number in range(50)]
    intents = Counter(rows[index].intent for index in choose_texts(rows, 21))
    assert intents == {"jailbreak": 10, "injection": 1, "harm": 10}
    assert len(choose_texts(rows, 500)) == 101


def test_as_many_affixes_may_be_asked_for_as_there_are():
    for path in ("params.yaml", "full/params.yaml", "tests/smoke/params.yaml"):
        assert load_params(ROOT / path).evasion.candidates <= len(AFFIXES)
    assert len(set(AFFIXES)) == len(AFFIXES) == 12


def test_the_stage_scores_what_it_sent(tmp_path, exported):
    texts = {"validation": 3, "test": 8}
    for split, count in texts.items():
        rows = [row(INTENTS[number % 3], number, split) for number in range(count)]
        write_records(tmp_path / f"data/splits/{split}.parquet", rows)
    shutil.copytree(exported, tmp_path / "models/onnx/seed0")
    shutil.copy(ROOT / "tests/smoke/params.yaml", tmp_path)
    command = [sys.executable, ROOT / "stages/evasion.py", "--seed", "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "results/evasion/seed0.json").read_text())
    table = pq.read_table(tmp_path / "data/scores/evasion/seed0.parquet").to_pydict()
    assert report["texts"] == 5  # of eight test rows three are benign
    assert table["row"] == [4, 5, 7, 8, 10] * 2  # counted from the first validation row
    assert table["label"][:2] == ["direct_injection", "jailbreak"]
    assert report["queries"] == 5 + report["attacked"] * 4
    for branch in ("fast", "deep"):
        total = sum(np.array(table[f"{branch}_{intent}"]) for intent in INTENTS)
        np.testing.assert_allclose(total, 1, atol=1e-5)


# ---- its rates ----------------------------------------------------------------------------


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A scale of made-up results, its scores, and the table of attacks of the first seed."""
    write_results(tmp_path, seeds=(0, 1), rows=600)
    monkeypatch.chdir(tmp_path)
    return load_scores([0, 1])


def evaluate(scores):
    return evaluate_evasion(scores, [0, 1], 0.05, ParentBootstrap(scores.rows["parent_id"], 200, 0))


def read(seed):
    table = pq.read_table(f"data/scores/evasion/seed{seed}.parquet").to_pydict()
    return {name: np.array(column) for name, column in table.items()}


def recall(scores, table, seed, threshold, when):
    """Blocked share by hand: temperature, threshold and route, for one seed."""
    decisions, own = decide(scores, threshold, 0.05), table["when"] == when
    deep = table["router_score"][own] >= threshold
    stated = {
        branch: np.stack([table[f"{branch}_{intent}"][own] for intent in INTENTS], axis=-1)
        for branch in ("fast", "deep")
    }
    powers = np.where(deep[:, None], stated["deep"], stated["fast"]) ** (1 / decisions.temperature[seed])
    threat = 1 - powers[:, 0] / powers.sum(axis=1)
    return np.mean(threat >= decisions.block_threshold[seed])


def test_recall_is_that_of_the_route_taken_at_thresholds_of_validation_rows(inputs):
    found, tables = evaluate(inputs), [read(seed) for seed in (0, 1)]
    for prefix, threshold in (("", 0.5), ("always_deep_", -1.0)):
        by_moment = []
        for when in ("before", "after"):
            values = [recall(inputs, table, seed, threshold, when) for seed, table in enumerate(tables)]
            assert found[f"{prefix}recall_{when}"].values == pytest.approx(values)
            by_moment.append(np.mean(values))
        assert found[f"{prefix}recall_change"].mean == pytest.approx(by_moment[1] - by_moment[0])
    excess = found["recall_change"].mean - found["always_deep_recall_change"].mean
    assert found["excess_recall_change"].mean == pytest.approx(excess)


def test_the_forced_share_is_of_those_that_went_deep(inputs):
    found, shares = evaluate(inputs), []
    for seed in (0, 1):
        table = read(seed)
        before, after = (table["deep"][table["when"] == when] for when in ("before", "after"))
        shares.append((before & ~after).sum() / before.sum())
    assert found["forced_share"].values == pytest.approx(shares)
    assert found["deep_share_before"].mean > found["deep_share_after"].mean


def test_a_search_that_changes_nothing_costs_nothing(inputs):
    for seed in (0, 1):
        table = pq.read_table(f"data/scores/evasion/seed{seed}.parquet")
        half = table.slice(0, len(table) // 2)
        again = half.set_column(half.column_names.index("when"), "when", pa.array(["after"] * len(half)))
        pq.write_table(pa.concat_tables([half, again]), f"data/scores/evasion/seed{seed}.parquet")
    found = evaluate(inputs)
    for name in ("recall_change", "always_deep_recall_change", "excess_recall_change"):
        assert (found[name].mean, found[name].interval) == (0, (0, 0))


def test_attacks_on_other_rows_than_those_scored_are_refused(inputs):
    path = "data/scores/evasion/seed0.parquet"
    table = pq.read_table(path)
    for seed in (0, 1):
        wrong = table.set_column(
            table.column_names.index("label"), "label", pa.array(["benign"] * len(table))
        )
        pq.write_table(wrong, f"data/scores/evasion/seed{seed}.parquet")
    with pytest.raises(InputError, match=r"seed0\.parquet: row \d+ is not a benign of the scored rows"):
        evaluate(inputs)
    pq.write_table(table, path)
    pq.write_table(table.slice(1), "data/scores/evasion/seed1.parquet")
    with pytest.raises(InputError, match=r"seed1\.parquet: other texts than those of the first seed"):
        evaluate(inputs)
    pq.write_table(table.drop_columns(["deep_benign"]), path)
    with pytest.raises(InputError, match=r"seed0\.parquet: no column deep_benign; run: dvc repro --force"):
        evaluate(inputs)


def test_seeds_searched_at_different_thresholds_are_refused(inputs):
    path = Path("results/evasion/seed1.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"router_threshold": 0.4}))
    with pytest.raises(InputError, match=r"different values of router_threshold, \[0\.4, 0\.5\]"):
        evaluate(inputs)
