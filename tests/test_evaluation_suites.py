"""Every suite and every public benchmark counts its own test rows."""

import numpy as np
import pytest

from synthetic_scores import INTENTS, PUBLIC_ROWS, make_public_rows
from tinyguardrail.data.labels import LABEL_OF_INTENT
from tinyguardrail.sources.loaders import jailbreakbench, notinject, toxic_chat
from tinyguardrail.sources.registry import sources
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.statistics.significance import ParentBootstrap
from tinyguardrail_paper.analysis.metrics.metric import BENIGN, BOTH, POOLED, THREATS, Sample
from tinyguardrail_paper.analysis.obfuscation import evaluate_obfuscation
from tinyguardrail_paper.analysis.routing import Decisions
from tinyguardrail_paper.analysis.scores import Scores
from tinyguardrail_paper.analysis.suites import BENCHMARKS, benchmark, build_suites, evaluate_suites


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


# ---- public benchmarks -----------------------------------------------------------------------


# source, family, intent, transform, split, threat score; a score of at least 0.5 is blocked.
SMALL_TABLE = (
    ("notinject", "notinject_one_common", "benign", "none", "test", 0.9),
    ("notinject", "notinject_two_creative", "benign", "none", "test", 0.1),
    ("notinject", "notinject_three_technique", "benign", "none", "test", 0.2),
    ("notinject", "notinject_one_common_in_piguard_validation", "benign", "none", "test", 0.8),
    ("notinject", "flipattack", "benign", "flipattack_fcs", "test", 0.7),
    ("bipia", "bipia_email", "injection", "none", "test", 0.6),
    ("bipia", "bipia_code", "injection", "none", "test", 0.3),
    ("bipia", "bipia_table", "injection", "none", "validation", 0.3),
    ("bipia", "bipia_email_clean", "benign", "none", "test", 0.1),
    ("bipia", "bipia_email_question", "benign", "none", "test", 0.1),
    ("bipia", "bipia_code_question", "benign", "none", "test", 0.55),
    ("bipia", "composed_indirect", "benign", "none", "test", 0.9),
    ("deepset", "question", "benign", "none", "test", 0.4),
    ("deepset", "question", "benign", "none", "test", 0.7),
    ("deepset", "injection", "injection", "none", "test", 0.6),
    ("deepset", "injection", "injection", "none", "test", 0.8),
    ("deepset", "composed_indirect", "injection", "none", "test", 0.0),
    ("jbb_artifacts", "pair", "jailbreak", "none", "test", 0.2),
    ("jbb_artifacts", "gcg", "jailbreak", "none", "test", 0.9),
    ("jbb_artifacts", "gcg", "jailbreak", "none", "test", 0.9),
    ("jbb_artifacts", "dsn", "jailbreak", "none", "test", 0.9),
    ("jbb_behaviors", "plain_request", "harm", "none", "test", 0.3),
    ("jbb_behaviors", "jbb_benign", "benign", "none", "test", 0.3),
    ("advbench", "plain_request", "harm", "none", "test", 0.9),
    ("advbench", "flipattack", "harm", "flipattack_fcs", "test", 0.6),
    ("advbench", "flipattack", "harm", "flipattack_fwo", "test", 0.9),
    ("advbench", "flipattack", "harm", "flipattack_fwo", "train", 0.1),
    ("authored", "flipattack", "injection", "flipattack_fcs", "test", 0.2),
    ("authored", "flipattack", "benign", "flipattack_fcs", "test", 0.3),
    ("authored", "plain_request", "harm", "none", "test", 0.1),
)


def small_scores(table):
    """Scores of one seed, and decisions that block at a half."""
    source, family, intent, transform, split, threat = map(np.array, zip(*table, strict=True))
    count = len(table)
    rows = {"source": source, "family": family, "intent": intent, "transform": transform, "split": split}
    hidden = (intent != "benign") & (transform != "none")
    rows["label"] = np.where(hidden, "obfuscation", [LABEL_OF_INTENT[each] for each in intent])
    rows["parent_id"] = np.array([f"parent-{index}" for index in range(count)])
    classes = np.array([INTENTS.index(each) for each in intent])
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
    found = evaluate_suites(
        build_suites(scores), lambda suite: Sample(suite.rows, scores, decisions, bootstrap, 5)
    )
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
        ("injection", "recall", 3, 5),
        ("jailbreak", "recall", 3, 4),
        ("harm", "recall", 1, 3),
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
    assert not names & set(BENCHMARKS)
    assert not [name for name in names if name.endswith("_advbench")]


def test_one_sided_benchmarks_have_one_metric_and_two_sided_ones_those_of_plain_text():
    public = make_public_rows(0, np.random.default_rng(0))
    columns = ("source", "family", "intent", "transform", "split")
    scores, _ = small_scores([(*(row[name] for name in columns), 0.5) for row in public])
    suites = {suite.name: suite for suite in build_suites(scores)}
    one_sided = {THREATS: {"recall"}, BENIGN: {"false_positive_rate"}, POOLED: {"recall", "macro_recall"}}
    for name, each in BENCHMARKS.items():
        found = set(suites[name].metrics)
        if each.kind == BOTH:
            assert found <= set(suites["plain"].metrics)
            assert {"recall", "false_positive_rate", "auc", "accuracy", "macro_f1", "ece"} <= found
        else:
            assert found == one_sided[each.kind]
    used = np.concatenate([suites[name].rows for name in BENCHMARKS])
    left = {(row["source"], row["family"]) for i, row in enumerate(public) if i not in used}
    plain = {key for key in left if key in {each[:2] for each in PUBLIC_ROWS}}
    other = {("bipia", "composed_indirect"), ("deepset", "composed_indirect"), ("harmbench", "plain_request")}
    assert plain == other


def test_an_unknown_benchmark_is_told_the_known_ones():
    with pytest.raises(
        UserError, match=r"unknown benchmark 'pint'; known: bipia, .*advbench, .*, wildguard_benign$"
    ):
        benchmark("pint")


def test_benchmarks_are_named_as_their_loaders_write_them():
    named = {name for each in BENCHMARKS.values() for name in each.source.split("|")}
    assert named <= set(sources())
    methods = set(jailbreakbench.FAMILY_OF_METHOD.values())
    assert methods == {name.removeprefix("jbb_") for name in BENCHMARKS if name[4:] in methods}
    pooled = benchmark("jbb_methods")
    assert set(pooled.family.split("|")) == methods
    unseen = benchmark("notinject_291")
    assert notinject.SEEN in unseen.family
    chat = benchmark("toxic_chat")
    assert set(toxic_chat.FAMILIES.values()) < set(chat.family.split("|"))


def test_obfuscations_detected_and_identified_are_counted_apart_from_those_seen_in_plain_text():
    table = [
        ("authored", "flipattack", "injection", "flipattack_fcs", "test", 0.5, "flipattack"),
        ("authored", "flipattack", "benign", "flipattack_fcs", "test", 0.5, "encoding"),
        ("authored", "flipattack", "injection", "flipattack_fwo", "test", 0.5, "none"),
        ("authored", "flipattack", "injection", "flipattack_fwo", "validation", 0.5, "none"),
        ("authored", "everyday", "benign", "none", "test", 0.5, "homoglyph"),
        *[("authored", "everyday", "benign", "none", "test", 0.5, "none")] * 4,
    ]
    scores, _ = small_scores([row[:-1] for row in table])
    scores.rows["found_family"] = np.array([row[-1] for row in table])
    shares = {name: (share.mean, share.n) for name, share in evaluate_obfuscation(scores).items()}
    assert shares == {
        "detected_flipattack": (pytest.approx(2 / 3), 3),
        "identified_flipattack": (pytest.approx(1 / 3), 3),
        "detected_in_plain": (pytest.approx(1 / 5), 5),
    }
