"""Rivals are judged as the guard is, and compared with it at the false-positive rate that they have."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from synthetic_results import BASELINES, PEER, write_results
from tinyguardrail.data.labels import INTENTS
from tinyguardrail.runtime.policy import POLICIES
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.baselines import baseline_sizes, read_baselines
from tinyguardrail_paper.analysis.peers import read_measured_peers
from tinyguardrail_paper.analysis.policies import decide_by_policy
from tinyguardrail_paper.analysis.rivals import at_equal_false_positives, evaluate_rivals
from tinyguardrail_paper.analysis.scores import load_scores
from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.settings.params import load_params
from tinyguardrail_paper.tables.rivals import PUBLISHED

ROOT = Path(__file__).parent.parent
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def params():
    settings = load_params(ROOT / "params.yaml")
    return settings.model_copy(
        update={"statistics": settings.statistics.model_copy(update={"bootstrap_samples": 100})}
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rivals")
    write_results(folder, rows=900)
    return folder


@pytest.fixture
def guard(inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    return load_scores(SEEDS)


@pytest.fixture
def baselines(guard, params):
    return {rival.name: rival for rival in read_baselines(guard, params)}


def test_a_baselines_threshold_is_fixed_on_its_own_benign_validation_rows(guard, baselines, params):
    rows = (guard.rows["split"] == "validation") & (guard.rows["intent"] == "benign")
    assert list(baselines) == [f"baseline_{name}" for name in BASELINES]
    for rival in baselines.values():
        for policy, (_, decisions) in rival.views.items():
            target = params.policies.target(policy)
            rates = decisions.blocked[:, rows].mean(axis=1)
            assert all(target - 2 / rows.sum() <= rate <= target for rate in rates)


def test_a_baselines_score_is_what_its_file_says(guard, baselines):
    table = pq.read_table("data/scores/baselines/seed1.parquet").to_pandas()
    scores, decisions = baselines["baseline_minilm"].views["harm"]
    raw = table[[f"minilm_{intent}" for intent in INTENTS]].to_numpy(float)
    np.testing.assert_allclose(scores.fast[1], raw / raw.sum(1, keepdims=True), atol=1e-7)
    tempered = raw ** (1 / decisions.temperature[1])
    np.testing.assert_allclose(decisions.threat_score[1], tempered[:, 3] / tempered.sum(1), atol=1e-5)


def test_rows_of_dev_sources_that_the_guard_alone_was_scored_on_do_not_matter(guard, baselines, params):
    count = len(guard.intent)
    longer = guard.take(np.append(np.arange(count), np.arange(5)))
    longer.rows["row"] = np.arange(count + 5)
    longer.rows["split"] = np.append(guard.rows["split"], ["dev"] * 5)
    (first, *_) = read_baselines(longer, params)
    assert first.places.tolist() == list(range(count))
    rival = baselines[first.name]
    alone, beside = (
        evaluate_rivals([each], decide_by_policy(scores, params), params)["rivals"][each.name]
        for each, scores in ((rival, guard), (first, longer))
    )
    assert alone == beside


def test_every_rival_has_every_suite_under_every_policy(guard, baselines, params):
    rivals = [baselines["baseline_tfidf"], *read_measured_peers(guard, params.peers.names)]
    systems = evaluate_rivals(rivals, decide_by_policy(guard, params), params)
    for rival in ("baseline_tfidf", f"peer_{PEER}"):
        for policy in POLICIES:
            name = rival if policy == "any" else f"{rival}_{policy}"
            assert {"plain", "hard_negatives", "flipattack"} <= set(systems[name])
            assert rival in systems["rivals" if policy == "any" else f"rivals_{policy}"]
    assert {"accuracy", "macro_f1", "ece"} <= set(systems["baseline_tfidf"]["plain"])
    assert not {"accuracy", "macro_f1", "ece"} & set(systems[f"peer_{PEER}"]["plain"])  # it tells no intents
    assert "calibration" not in systems[f"peer_{PEER}"]


# ---- equal false positives ----------------------------------------------------------------------


def beside(scores, rival, guard_scores, guard):
    bootstrap = ParentBootstrap(scores.rows["parent_id"], 100, 0)
    return at_equal_false_positives(scores, rival, guard_scores, guard, bootstrap)


def test_recall_at_a_rivals_false_positive_rate_by_counting(guard, baselines, params):
    for policy, (scores, decisions) in baselines["baseline_minilm"].views.items():
        own_scores, own = decide_by_policy(guard, params)[policy]
        found = beside(scores, decisions, own_scores, own)
        test = guard.rows["split"] == "test"
        benign = test & (guard.rows["intent"] == "benign")
        threat = test & np.isin(guard.rows["intent"], POLICIES[policy].intents)
        for seed in range(len(SEEDS)):
            allowed = int(decisions.blocked[seed, benign].sum())
            highest = np.sort(own.threat_score[seed, benign])[::-1]
            recall = np.mean(own.threat_score[seed, threat] > highest[allowed])  # blocks `allowed` at most
            assert found["guard_recall"].values[seed] == pytest.approx(recall)
            rate = decisions.blocked[seed, threat].mean()
            assert found["recall"].values[seed] == pytest.approx(rate)
            assert found["recall_gap"].values[seed] == pytest.approx(recall - rate)
            assert found["false_positive_rate"].values[seed] == pytest.approx(allowed / benign.sum())
        assert found["recall"].n == threat.sum()


def test_a_guard_beside_itself_is_better_by_the_threats_between_two_benign_rows_at_most(guard, params):
    scores, decisions = decide_by_policy(guard, params)["any"]
    gap = beside(scores, decisions, scores, decisions)["recall_gap"]
    assert all(0 <= value < 0.01 for value in gap.values)
    assert gap.interval == pytest.approx((0, 0), abs=0.02)


def test_the_interval_of_the_gap_is_over_parents_and_seeds(guard, baselines, params):
    scores, decisions = baselines["baseline_minilm"].views["any"]
    found = beside(scores, decisions, *decide_by_policy(guard, params)["any"])["recall_gap"]
    low, high = found.interval
    assert low < found.mean < high
    blocked = decisions.blocked.copy()
    blocked[0] &= np.arange(blocked.shape[1]) % 2 == 0
    wider = beside(scores, replace(decisions, blocked=blocked), *decide_by_policy(guard, params)["any"])
    low_wider, high_wider = wider["recall_gap"].interval
    assert high_wider - low_wider > high - low


def test_a_peer_is_compared_on_the_rows_that_it_scored_at_its_own_threshold(guard, params):
    (peer,) = read_measured_peers(guard, params.peers.names)
    table = pq.read_table(f"data/scores/peers/{PEER}.parquet").to_pandas()
    assert peer.places.tolist() == table["row"].tolist()
    systems = evaluate_rivals([peer], decide_by_policy(guard, params), params)
    found = systems["rivals"][peer.name]
    benign = (table["split"] == "test") & (table["intent"] == "benign")
    assert found["false_positive_rate"].values == pytest.approx((table["blocked"][benign].mean(),))
    assert found["recall"].n == int(((table["split"] == "test") & (table["intent"] != "benign")).sum())
    assert found["guard_recall"].seeds == SEEDS
    assert found["recall"].seeds == (0,)


# ---- inputs and tables --------------------------------------------------------------------------


def test_baselines_of_other_rows_than_the_guards_are_refused(guard, params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"seed0\.parquet is missing; run: dvc repro baselines"):
        read_baselines(guard, params)
    write_results(tmp_path, rows=900)
    for seed in SEEDS:
        file = tmp_path / f"data/scores/baselines/seed{seed}.parquet"
        table = pq.read_table(file).to_pandas()
        table.loc[7, "parent_id"] = "another"
        table.to_parquet(file)
    with pytest.raises(InputError, match="parent_id of row 7 differs from the guard's; run: dvc repro"):
        read_baselines(guard, params)


def test_sizes_are_of_the_parameters_in_fp32(guard, params):
    sizes = baseline_sizes(params.baselines.names, SEEDS)
    assert sizes["baseline_minilm"]["size"]["fp32_size_mb"].mean == pytest.approx(4 * 22.566916)
    with pytest.raises(InputError, match="no parameters of other; run: dvc repro --force baselines"):
        baseline_sizes(["other"], SEEDS)


def test_what_was_not_published_is_a_dash_and_every_citation_says_where_from():
    assert {each.title for each in PUBLISHED} == {
        "Granite Guardian 8B",
        "Llama Guard 3 8B",
        "Prompt Guard 2 86M",
        "Lakera Guard",
        "PIGuard",
        "ProtectAI v2",
    }
    assert all(each.source and all(each.cells) for each in PUBLISHED)


def test_the_main_table_has_the_guard_its_branches_every_baseline_and_what_was_published(scale):
    tables = json.loads(scale[2]["paper/numbers.json"])["tables"]
    main = tables["main"]["rows"]
    sources = [row[-1] for row in main]
    assert sources.count("measured") == 3 + len(BASELINES) + 1
    assert len(main) == sources.count("measured") + len(PUBLISHED)
    assert all(len(row) == len(tables["main"]["header"]) for row in main)
    metrics = json.loads(scale[2]["results/metrics.json"])
    (minilm,) = (row for row in main if row[0] == "MiniLM-L6 fine-tuned")
    assert minilm[5].startswith(f"{100 * metrics['baseline_minilm']['plain']['recall']['mean']:.1f}%")
    assert len(tables["rivals"]["rows"]) == len(BASELINES) + 1
    assert tables["rivals"]["header"][-3:] == ["injection", "jailbreak", "harm"]
