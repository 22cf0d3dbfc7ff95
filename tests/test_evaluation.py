"""Metrics, calibration, routing and statistics against formulas written out here."""

import math
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthetic_results import PUBLIC_ROWS, make_public_rows, make_rows, make_scores
from tinyguardrail.data.loaders import jailbreakbench, notinject, toxic_chat
from tinyguardrail.data.registry import sources
from tinyguardrail.evaluation import metrics, resampled
from tinyguardrail.evaluation.benchmarks import BENCHMARKS
from tinyguardrail.evaluation.calibration import apply_temperature, fit_temperature
from tinyguardrail.evaluation.disguises import evaluate_disguises
from tinyguardrail.evaluation.guard import evaluate_suites
from tinyguardrail.evaluation.inputs import InputError
from tinyguardrail.evaluation.routing import (
    ALWAYS_DEEP,
    ALWAYS_FAST,
    Decisions,
    answers,
    collapsed_seeds,
    decide,
)
from tinyguardrail.evaluation.scores import Scores, load_scores
from tinyguardrail.evaluation.significance import (
    ParentBootstrap,
    approximate_randomisation,
    auc_contributions,
    draw_weights,
    holm,
    mcnemar,
    paired_t,
    percentile_interval,
    t_interval,
)
from tinyguardrail.evaluation.suites import build_suites
from tinyguardrail.evaluation.threshold import blocking_threshold
from tinyguardrail.evaluation.var import perplexity_change

# Scores on a coarse grid, so that ties occur.
labelled = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=4, max_size=40).filter(
    lambda rows: len({threat for threat, _ in rows}) == 2
)


def unzip(rows):
    threat, score = zip(*rows, strict=True)
    return np.array(threat), np.array(score) / 8


# ---- point estimates -----------------------------------------------------------------


@given(labelled)
def test_auc_is_the_chance_that_a_threat_outranks_a_benign_row(rows):
    threat, score = unzip(rows)
    pairs = [(a > b) + 0.5 * (a == b) for a in score[threat] for b in score[~threat]]
    assert metrics.auc(threat, score) == pytest.approx(np.mean(pairs))


@given(labelled, st.sampled_from([0.0, 0.1, 0.5]))
def test_operating_points_are_the_best_of_all_thresholds(rows, limit):
    threat, score = unzip(rows)
    points = [
        (np.mean(score[~threat] >= t), np.mean(score[threat] >= t)) for t in [*np.unique(score), math.inf]
    ]
    assert metrics.tpr_at_fpr(threat, score, limit) == max(tpr for fpr, tpr in points if fpr <= limit)
    assert metrics.fpr_at_recall(threat, score, 0.95) == min(fpr for fpr, tpr in points if tpr >= 0.95)


def test_rates_count_only_their_own_class():
    threat = np.array([1, 1, 1, 1, 0, 0], dtype=bool)
    blocked = np.array([1, 1, 1, 0, 1, 0], dtype=bool)
    assert metrics.recall(threat, blocked) == 0.75
    assert metrics.false_positive_rate(threat, blocked) == 0.5
    with pytest.raises(ValueError, match="needs threats"):
        metrics.recall(np.zeros(2, dtype=bool), np.zeros(2, dtype=bool))


def test_macro_f1_averages_over_the_classes_that_occur():
    label = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 3, 2])
    by_class = [2 * 2 / (3 + 2), 2 * 1 / (2 + 2), 2 * 1 / (1 + 1)]
    assert metrics.macro_f1(label, predicted) == pytest.approx(np.mean(by_class))
    counts = metrics.confusion_matrix(label, predicted, 4)
    assert counts.sum() == 6
    assert counts[1, 3] == 1


@given(st.lists(st.tuples(st.floats(0.25, 1), st.booleans()), min_size=1, max_size=60), st.integers(2, 20))
def test_calibration_error_is_the_weighted_gap_over_bins(rows, bins):
    confidence, correct = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    expected = 0.0
    for index in range(bins):
        own = (np.minimum(np.floor(confidence * bins), bins - 1)) == index
        if own.any():
            expected += own.mean() * abs(correct[own].mean() - confidence[own].mean())
    assert metrics.expected_calibration_error(confidence, correct, bins) == pytest.approx(expected)


@given(st.integers(1, 400), st.data())
def test_wilson_interval_matches_scipy(n, data):
    hits = data.draw(st.integers(0, n))
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert metrics.wilson_interval(hits / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_false_positive_still_leaves_doubt():
    low, high = metrics.clustered_wilson(np.zeros(60), np.repeat(np.arange(20), 3))
    assert low == 0
    assert high == pytest.approx(metrics.wilson_interval(0, 20)[1])


@pytest.mark.parametrize("size", [1, 5])
def test_clustered_interval_covers_the_true_rate(size):
    """Rows of one parent share their fate half of the time; a plain interval would be too short."""
    generator, covered, rounds, parents = np.random.default_rng(1), 0, 400, 80
    index = np.repeat(np.arange(parents), size)
    for _ in range(rounds):
        common = (generator.random(parents) < 0.3)[index]
        own = generator.random(parents * size) < 0.3
        values = np.where(generator.random(parents)[index] < 0.5, common, own).astype(float)
        low, high = metrics.clustered_wilson(values, index)
        covered += low <= 0.3 <= high
    assert 0.92 <= covered / rounds <= 0.985


# ---- the bootstrap's own forms ---------------------------------------------------------


@settings(max_examples=60)
@given(labelled, st.integers(0, 2**32 - 1))
def test_weighted_metrics_equal_plain_ones_on_repeated_rows(rows, seed):
    threat, score = unzip(rows)
    generator = np.random.default_rng(seed)
    label, predicted = (
        threat * generator.integers(1, 4, size=len(threat)),
        generator.integers(4, size=len(threat)),
    )
    confidence, correct = 0.25 + 0.75 * score, (label == predicted).astype(float)
    counts = generator.integers(1, 4, size=len(threat))
    drawn = np.repeat(np.arange(len(threat)), counts)
    weights = np.stack([np.ones(len(threat)), counts]).astype(np.float32)
    for row, index in enumerate((np.arange(len(threat)), drawn)):
        pairs = [
            (resampled.auc(threat, score, weights), metrics.auc(threat[index], score[index])),
            (
                resampled.tpr_at_fpr(threat, score, weights, 0.1),
                metrics.tpr_at_fpr(threat[index], score[index], 0.1),
            ),
            (
                resampled.fpr_at_recall(threat, score, weights, 0.95),
                metrics.fpr_at_recall(threat[index], score[index], 0.95),
            ),
            (resampled.macro_f1(label, predicted, weights), metrics.macro_f1(label[index], predicted[index])),
            (
                resampled.expected_calibration_error(confidence, correct, weights, 10),
                metrics.expected_calibration_error(confidence[index], correct[index], 10),
            ),
            (resampled.mean(correct, weights), correct[index].mean()),
        ]
        for many, one in pairs:
            assert many[row] == pytest.approx(one, abs=1e-5)


def test_a_sample_without_threats_has_no_auc():
    threat, score = np.array([True, False]), np.array([0.9, 0.1])
    values = resampled.auc(threat, score, np.array([[1, 1], [0, 2]], dtype=float))
    assert values[0] == 1
    assert np.isnan(values[1])


def test_bootstrap_draws_whole_parents_and_repeats_with_its_seed():
    parents = np.array(["a", "b", "a", "c"])
    weights = ParentBootstrap(parents, 500, seed=3).weights(np.arange(4))
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights, ParentBootstrap(parents, 500, seed=3).weights(np.arange(4)))
    assert weights[:, [0, 1, 3]].sum(axis=1).tolist() == [3] * 500


def test_bootstrap_interval_covers_the_true_mean():
    generator, covered, rounds = np.random.default_rng(2), 0, 300
    weights = draw_weights(60, 400, seed=0)
    for _ in range(rounds):
        values = generator.normal(0.5, 0.1, size=60)
        low, high = percentile_interval(resampled.mean(values, weights))
        covered += low <= 0.5 <= high
    assert 0.91 <= covered / rounds <= 0.985


# ---- calibration -------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_undoes_the_sharpening_of_a_calibrated_model(temperature):
    generator = np.random.default_rng(4)
    honest = generator.dirichlet(np.ones(4), size=6000)
    label = (generator.random((6000, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    stated = apply_temperature(honest, 1 / temperature)
    assert fit_temperature(stated, label) == pytest.approx(temperature, rel=0.06)
    assert apply_temperature(stated, temperature) == pytest.approx(honest, abs=1e-6)


def test_temperature_survives_probabilities_of_zero():
    assert math.isfinite(fit_temperature(np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]), np.array([1, 1])))


@pytest.mark.parametrize(("rows", "target"), [(19, 0.05), (150, 0.05), (150, 0.01), (400, 0.1)])
def test_blocking_threshold_holds_its_rate_on_fresh_data(rows, target):
    generator = np.random.default_rng(5)
    rates = [
        np.mean(generator.random(500) >= blocking_threshold(generator.random(rows), target))
        for _ in range(600)
    ]
    spread = 3 * np.std(rates) / math.sqrt(len(rates))
    assert target - 1 / (rows + 1) - spread <= np.mean(rates) <= target + spread


@given(st.integers(20, 200), st.sampled_from([0.05, 0.1, 0.5]))
def test_blocking_threshold_keeps_to_its_target_where_scores_tie(rows, target):
    scores = np.round(np.random.default_rng(rows).random(rows), 1)
    assert np.mean(scores >= blocking_threshold(scores, target)) <= target


def test_too_few_benign_rows_for_a_threshold():
    with pytest.raises(InputError, match="at least 19 are needed"):
        blocking_threshold(np.zeros(18), 0.05)


# ---- significance ------------------------------------------------------------------------


def test_mcnemar_is_a_sign_test_on_the_rows_that_differ():
    a = np.array([1] * 9 + [0] * 2 + [1] * 5, dtype=bool)
    b = np.array([0] * 9 + [1] * 2 + [1] * 5, dtype=bool)
    tail = sum(math.comb(11, k) for k in range(3)) / 2**11
    assert mcnemar(a, b) == (9, 2, pytest.approx(2 * tail))
    assert mcnemar(a, a) == (0, 0, 1.0)


@given(labelled, st.integers(0, 2**32 - 1))
def test_auc_difference_is_linear_in_the_exchange_of_scores(rows, seed):
    threat, first = unzip(rows)
    generator = np.random.default_rng(seed)
    second, swap = generator.integers(9, size=len(threat)) / 8, generator.random(len(threat)) < 0.5
    mixed_a, mixed_b = np.where(swap, second, first), np.where(swap, first, second)
    expected = metrics.auc(threat, mixed_a) - metrics.auc(threat, mixed_b)
    contributions = auc_contributions(threat, first, second)
    assert np.sum(np.where(swap, -1, 1) * contributions) == pytest.approx(expected, abs=1e-9)


def test_randomisation_finds_an_effect_and_is_fair_without_one():
    generator = np.random.default_rng(6)
    parents = np.repeat(np.arange(50), 2)
    difference, p = approximate_randomisation(generator.normal(0.5, 1, 100) / 100, parents, 1000, 0)
    assert difference == pytest.approx(0.5, abs=0.3)
    assert p < 0.01
    ps = [approximate_randomisation(generator.normal(0, 1, 100), parents, 200, i)[1] for i in range(300)]
    assert 0.02 <= np.mean(np.array(ps) <= 0.05) <= 0.09


def test_paired_t_over_seeds_matches_scipy():
    a, b = [0.91, 0.93, 0.90, 0.94], [0.89, 0.92, 0.91, 0.90]
    found = paired_t(a, b)
    assert found["p"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    differences = np.subtract(a, b)
    assert found["effect_size"] == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert paired_t([0.9], [0.8])["p"] is None


def test_t_interval_matches_scipy_and_needs_two_seeds():
    values = [0.1, 0.4, 0.2]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(expected)
    assert t_interval([0.1]) is None


def test_holm_steps_down_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


# ---- routing and inputs --------------------------------------------------------------------


@pytest.fixture(scope="module")
def score_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    rows = make_rows(900, np.random.default_rng(0))
    for seed in (0, 1):
        pq.write_table(make_scores(rows, seed), folder / f"seed{seed}.parquet")
    return folder


@pytest.fixture(scope="module")
def scores(score_folder):
    return load_scores([0, 1], score_folder)


def test_a_score_at_the_threshold_takes_the_deep_branch(scores):
    router = np.full_like(scores.router, 0.5)
    router[:, ::3] = 0.49
    decisions = decide(replace(scores, router=router), 0.5, 0.05)
    assert np.array_equal(decisions.deep, router == 0.5)
    mixed = answers(scores, decisions.deep)
    assert np.array_equal(mixed[:, ::3], scores.fast[:, ::3])
    assert np.array_equal(mixed[:, 1::3], scores.deep[:, 1::3])


def test_extreme_thresholds_leave_one_branch(scores):
    assert not decide(scores, ALWAYS_FAST, 0.05).deep.any()
    assert decide(scores, ALWAYS_DEEP, 0.05).deep.all()


def test_decisions_depend_on_validation_rows_alone(scores):
    """Test labels may be anything: temperature and threshold stay what they are."""
    shuffled = scores.label.copy()
    shuffled[scores.split("test")] = 0
    before, after = decide(scores, 0.5, 0.05), decide(replace(scores, label=shuffled), 0.5, 0.05)
    assert np.array_equal(before.temperature, after.temperature)
    assert np.array_equal(before.block_threshold, after.block_threshold)


def test_a_router_that_sends_all_rows_one_way_has_collapsed(scores):
    assert collapsed_seeds(scores, decide(scores, 0.5, 0.05)) == {}
    one_way = replace(scores, router=np.stack([np.ones_like(scores.router[0]), scores.router[1]]))
    assert collapsed_seeds(one_way, decide(one_way, 0.5, 0.05)) == {0: 1.0}


def test_every_attack_stands_beside_its_control(scores):
    suites = {suite.name: suite for suite in build_suites(scores)}
    for name in ("flipattack", "flipattack_fwo", "encoding_hex", "homoglyph"):
        assert "recall" in suites[name].metrics
        control = suites[f"control_{name}"]
        assert control.metrics == ("false_positive_rate",)
        assert not scores.threat[control.rows].any()
        assert set(control.rows) < set(suites[name].rows)


def test_suites_hold_test_rows_only_and_none_is_empty(scores):
    test = scores.split("test")
    for suite in build_suites(scores):
        assert len(suite.rows)
        assert test[suite.rows].all()


# ---- public benchmarks ---------------------------------------------------------------------

# source, family, label, transform, split, threat score; a score of at least 0.5 is blocked.
SMALL_TABLE = (
    ("notinject", "notinject_one_common", "benign", "none", "test", 0.9),
    ("notinject", "notinject_two_creative", "benign", "none", "test", 0.1),
    ("notinject", "notinject_three_technique", "benign", "none", "test", 0.2),
    ("notinject", "notinject_one_common_in_piguard_validation", "benign", "none", "test", 0.8),
    ("notinject", "flipattack", "benign", "flipattack_fcs", "test", 0.7),
    ("bipia", "bipia_email", "direct_injection", "none", "test", 0.6),
    ("bipia", "bipia_code", "direct_injection", "none", "test", 0.3),
    ("bipia", "bipia_table", "direct_injection", "none", "validation", 0.3),
    ("bipia", "bipia_email_clean", "benign", "none", "test", 0.1),
    ("bipia", "bipia_email_question", "benign", "none", "test", 0.1),
    ("bipia", "bipia_code_question", "benign", "none", "test", 0.55),
    ("bipia", "composed_indirect", "benign", "none", "test", 0.9),
    ("deepset", "question", "benign", "none", "test", 0.4),
    ("deepset", "question", "benign", "none", "test", 0.7),
    ("deepset", "injection", "direct_injection", "none", "test", 0.6),
    ("deepset", "injection", "direct_injection", "none", "test", 0.8),
    ("deepset", "composed_indirect", "direct_injection", "none", "test", 0.0),
    ("jbb_artifacts", "pair", "jailbreak", "none", "test", 0.2),
    ("jbb_artifacts", "gcg", "jailbreak", "none", "test", 0.9),
    ("jbb_artifacts", "gcg", "jailbreak", "none", "test", 0.9),
    ("jbb_artifacts", "dsn", "jailbreak", "none", "test", 0.9),
    ("jbb_behaviors", "plain_request", "jailbreak", "none", "test", 0.3),
    ("jbb_behaviors", "jbb_benign", "benign", "none", "test", 0.3),
    ("advbench", "plain_request", "jailbreak", "none", "test", 0.9),
    ("advbench", "flipattack", "obfuscation", "flipattack_fcs", "test", 0.6),
    ("advbench", "flipattack", "obfuscation", "flipattack_fwo", "test", 0.9),
    ("advbench", "flipattack", "obfuscation", "flipattack_fwo", "train", 0.1),
    ("authored", "flipattack", "obfuscation", "flipattack_fcs", "test", 0.2),
    ("authored", "flipattack", "benign", "flipattack_fcs", "test", 0.3),
    ("authored", "plain_request", "jailbreak", "none", "test", 0.1),
)


def small_scores(table):
    """Scores of one seed, and decisions that block at a half."""
    source, family, label, transform, split, threat = map(np.array, zip(*table, strict=True))
    count = len(table)
    rows = {"source": source, "family": family, "label": label, "transform": transform, "split": split}
    rows["parent_id"] = np.array([f"parent-{index}" for index in range(count)])
    classes = np.array([("benign", "direct_injection", "jailbreak", "obfuscation").index(x) for x in label])
    probabilities = np.stack([1 - threat, threat, 0 * threat, 0 * threat], axis=-1)[None]
    scores = Scores((0,), rows, classes, probabilities, probabilities, np.zeros((1, count)))
    decisions = Decisions(
        deep=np.zeros((1, count), dtype=bool),
        probabilities=probabilities,
        threat_score=threat[None],
        predicted=probabilities.argmax(axis=-1),
        blocked=threat[None] >= 0.5,
        temperature=np.ones(1),
        block_threshold=np.full(1, 0.5),
    )
    return scores, decisions


@pytest.fixture(scope="module")
def small_metrics():
    """(mean, n) of each metric of each suite of the small table."""
    scores, decisions = small_scores(SMALL_TABLE)
    bootstrap = ParentBootstrap(scores.rows["parent_id"], 50, seed=0)
    found = evaluate_suites(scores, decisions, build_suites(scores), bootstrap, bins=5)
    return {
        (test, metric): (summary.mean, summary.n)
        for test, summaries in found.items()
        for metric, summary in summaries.items()
    }


@pytest.mark.parametrize(
    ("test", "metric", "hits", "rows"),
    [
        ("notinject", "false_positive_rate", 2, 4),
        ("notinject_291", "false_positive_rate", 1, 3),
        ("bipia", "recall", 1, 2),
        ("bipia_clean", "false_positive_rate", 1, 3),
        ("deepset", "recall", 2, 2),
        ("deepset", "false_positive_rate", 1, 2),
        ("jbb_pair", "recall", 0, 1),
        ("jbb_gcg", "recall", 2, 2),
        ("jbb_dsn", "recall", 1, 1),
        ("jbb_methods", "recall", 3, 4),
        ("jbb_behaviors", "recall", 0, 1),
        ("jbb_behaviors", "false_positive_rate", 0, 1),
        ("advbench", "recall", 1, 1),
        ("flipattack", "recall", 2, 3),
        ("flipattack_advbench", "recall", 2, 2),
        ("flipattack_fcs_advbench", "recall", 1, 1),
        ("flipattack_fwo_advbench", "recall", 1, 1),
        ("control_flipattack", "false_positive_rate", 1, 2),
    ],
)
def test_a_benchmark_counts_its_own_test_rows(small_metrics, test, metric, hits, rows):
    assert small_metrics[test, metric] == (pytest.approx(hits / rows), rows)


def test_two_sided_benchmarks_rank_threats_against_their_own_benign_rows(small_metrics):
    deepset = [(0.6 > 0.4), (0.6 > 0.7), (0.8 > 0.4), (0.8 > 0.7)]
    assert small_metrics["deepset", "auc"] == (pytest.approx(np.mean(deepset)), 4)
    assert small_metrics["jbb_behaviors", "auc"] == (pytest.approx(0.5), 2)  # a tie
    flipped = [(0.6 > 0.7), (0.6 > 0.3), (0.9 > 0.7), (0.9 > 0.3)]  # against all flipped benign rows
    assert small_metrics["flipattack_advbench", "auc"] == (pytest.approx(np.mean(flipped)), 4)


def test_a_benchmark_without_rows_has_no_suite(small_metrics, scores):
    tests = {test for test, _ in small_metrics}
    assert not tests & {"wildguard_benign", "toxic_chat", "jbb_jbc", "strongreject", "malicious_instruct"}
    names = {suite.name for suite in build_suites(scores)}  # authored rows alone
    assert not names & {benchmark.name for benchmark in BENCHMARKS}
    assert not [name for name in names if name.endswith("_advbench")]


def test_one_sided_benchmarks_have_one_metric_and_two_sided_ones_those_of_plain_text():
    public = make_public_rows(0, np.random.default_rng(0))
    columns = ("source", "family", "label", "transform", "split")
    scores, _ = small_scores([(*(row[name] for name in columns), 0.5) for row in public])
    suites = {suite.name: suite for suite in build_suites(scores)}
    for benchmark in BENCHMARKS:
        found = suites[benchmark.name].metrics
        if benchmark.side == "both":
            assert set(found) <= set(suites["authored"].metrics)
            assert {"recall", "false_positive_rate", "auc", "accuracy", "macro_f1", "ece"} <= set(found)
        else:
            assert found == (("recall",) if benchmark.side == "threats" else ("false_positive_rate",))
    used = np.concatenate([suites[benchmark.name].rows for benchmark in BENCHMARKS])
    left = {(row["source"], row["family"]) for i, row in enumerate(public) if i not in used}
    plain = {key for key in left if key in {each[:2] for each in PUBLIC_ROWS}}
    other = {("bipia", "composed_indirect"), ("deepset", "composed_indirect"), ("harmbench", "plain_request")}
    assert plain == other


def test_benchmarks_are_named_as_their_loaders_write_them():
    assert {benchmark.source for benchmark in BENCHMARKS} <= set(sources())
    methods = set(jailbreakbench.FAMILY_OF_METHOD.values())
    assert methods == {each.name.removeprefix("jbb_") for each in BENCHMARKS if each.name[4:] in methods}
    pooled = next(each for each in BENCHMARKS if each.name == "jbb_methods")
    assert set(pooled.family.split("|")) == methods
    unseen = next(each for each in BENCHMARKS if each.name == "notinject_291")
    assert notinject.SEEN in unseen.family
    chat = next(each for each in BENCHMARKS if each.name == "toxic_chat")
    assert set(toxic_chat.FAMILIES.values()) < set(chat.family.split("|"))


def test_a_missing_score_file_is_named_with_its_stage(score_folder):
    with pytest.raises(InputError, match=r"seed7\.parquet is missing; run: dvc repro benchmark"):
        load_scores([0, 7], score_folder)


def test_seeds_scored_on_different_rows_are_refused(score_folder):
    other = make_rows(900, np.random.default_rng(9))
    pq.write_table(make_scores(other, 3), score_folder / "seed3.parquet")
    with pytest.raises(InputError, match=r"seed3\.parquet: column \w+ differs"):
        load_scores([0, 3], score_folder)


def test_perplexity_change_compares_exponentials_of_mean_nats():
    tokens, before, after = np.array([10, 30]), np.array([20.0, 45.0]), np.array([21.0, 45.0])
    expected = math.exp(66 / 40) / math.exp(65 / 40) - 1
    assert perplexity_change(tokens, before, after)[0] == pytest.approx(expected)
    twice_first = perplexity_change(tokens, before, after, np.array([[2.0, 1.0]]))
    assert twice_first[0] == pytest.approx(math.exp(2 / 50) - 1)


def test_disguises_found_and_named_are_counted_apart_from_those_seen_in_plain_text():
    table = [
        ("authored", "flipattack", "obfuscation", "flipattack_fcs", "test", 0.5, "flipattack"),
        ("authored", "flipattack", "benign", "flipattack_fcs", "test", 0.5, "encoding"),
        ("authored", "flipattack", "obfuscation", "flipattack_fwo", "test", 0.5, "none"),
        ("authored", "flipattack", "obfuscation", "flipattack_fwo", "validation", 0.5, "none"),
        ("authored", "everyday", "benign", "none", "test", 0.5, "homoglyph"),
        *[("authored", "everyday", "benign", "none", "test", 0.5, "none")] * 4,
    ]
    scores, _ = small_scores([row[:-1] for row in table])
    scores.rows["found_family"] = np.array([row[-1] for row in table])
    shares = {name: (share.mean, share.n) for name, share in evaluate_disguises(scores).items()}
    assert shares == {
        "found_flipattack": (pytest.approx(2 / 3), 3),
        "named_flipattack": (pytest.approx(1 / 3), 3),
        "found_in_plain": (pytest.approx(1 / 5), 5),
    }
