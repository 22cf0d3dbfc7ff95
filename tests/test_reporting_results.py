"""The `figures` stage on made-up inputs: the results files that it writes."""

import csv
import json
import shutil
from collections import Counter

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from reporting_scale import ROOT, outputs, run_stage
from synthetic_scores import INTENTS
from tinyguardrail_paper.document.run import run_record


def test_stage_writes_every_output_that_dvc_expects(scale):
    stage = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["figures"]
    for out in stage["outs"]:
        assert (scale[0] / next(iter(out))).exists()


def test_metrics_have_the_documented_fields(metrics):
    seen, single = 0, ("leave_one_out", "ablation")
    for system, tests in metrics.items():
        for test, found in tests.items():
            for name, value in found.items():
                if name == "collapsed":
                    assert value is False
                    continue
                assert {"mean", "std", "ci95", "n", "seeds"} <= set(value)
                once = system in single or system.startswith("peer_")
                if not (system.startswith("rivals") and test.startswith("peer_")):  # which have some of both
                    assert value["seeds"] == ([0] if once else [0, 1, 2])
                low, high = value["ci95"]
                assert low <= value["mean"] <= high, (system, name)
                seen += 1
    assert seen > 100


@pytest.mark.parametrize("name", ["recall", "false_positive_rate", "auc", "accuracy", "ece", "macro_f1"])
def test_rates_are_fractions(metrics, name):
    bounds = [metrics["guard"]["plain"][name][field] for field in ("mean", "ci95")]
    assert all(0 <= value <= 1 for value in (bounds[0], *bounds[1]))


def test_every_attack_in_the_results_has_its_control(metrics):
    guard = metrics["guard"]
    attacks = [name for name in guard if f"control_{name}" in guard]
    assert {"flipattack", "flipattack_fwo", "encoding_base64", "homoglyph"} <= set(attacks)
    assert all("recall" in guard[name] for name in attacks)
    assert not [name for name in guard if name.startswith("flip") and name not in attacks]


def test_small_sets_make_no_claim_about_rare_false_positives(metrics):
    """Recall at a false-positive rate of 1% needs a hundred benign rows to mean anything."""
    assert "tpr_at_1pct_fpr" not in metrics["guard"]["flipattack_fwo"]
    assert "tpr_at_0.1pct_fpr" not in metrics["guard"]["plain"]


def test_headline_is_flat_and_free_of_timings(scale):
    headline = json.loads(scale[2]["results/headline.json"])
    assert all(isinstance(value, float) and round(value, 4) == value for value in headline.values())
    assert not [name for name in headline if "_ms" in name or "speedup" in name or "latency" in name]
    assert {"guard.recall", "guard.flipattack_control_false_positive_rate"} <= set(headline)


def test_run_record_names_versions_but_no_host_or_time():
    record = run_record("root")
    assert set(record) == {"scale", "python", "machine", "packages"}
    assert record["packages"]["numpy"]


def test_rebuild_gives_the_same_bytes(scale):
    run_stage(scale[0])
    assert outputs(scale[0]) == scale[2]


def test_other_timings_change_no_figure_and_no_headline(scale, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(scale[0], folder)
    for file in (folder / "results/latency").glob("guard_*.json"):
        timing = json.loads(file.read_text())
        timing["arms"]["routed"]["p95_ms"] += 1
        file.write_text(json.dumps(timing))
    run_stage(folder)
    changed = {name for name, content in outputs(folder).items() if content != scale[2][name]}
    assert "results/metrics.json" in changed
    assert not [name for name in changed if name.startswith(("results/figures", "results/plots"))]
    assert "results/headline.json" not in changed


def test_figures_carry_neither_date_nor_version(scale):
    for name, content in scale[2].items():
        if name.endswith(".svg"):
            assert b"<dc:date>" not in content
            assert b"matplotlib v" not in content.lower()  # element ids do name it


def long_table(scale, name):
    return list(csv.DictReader(scale[2][f"results/tables/{name}.csv"].decode().splitlines()))


def test_confusions_and_families_are_counted_by_intent(scale):
    table = pq.read_table(scale[0] / "data/scores/guard/seed0.parquet").to_pandas()
    test = table[table["split"] == "test"]
    counts = Counter()
    for each in long_table(scale, "confusion"):
        counts[each["actual"]] += int(each["rows"])
    assert counts == {intent: 3 * (test["intent"] == intent).sum() for intent in INTENTS}  # seeds
    plain = test[test["transform"] == "none"]
    expected = plain.groupby(["intent", "family"]).size().to_dict()
    families = {(each["intent"], each["family"]): int(each["rows"]) for each in long_table(scale, "families")}
    assert families == expected


def test_int8_is_compared_seed_by_seed(scale):
    found = json.loads(scale[2]["results/metrics.json"])["guard"]["int8_against_fp32"]
    assert found["macro_f1_gap_to_fp32"]["mean"] == pytest.approx(0.708 - 0.71)
    assert found["verdict_agreement"]["n"] == 400
    low, high = found["verdict_agreement"]["ci95"]
    assert 0.97 < low < 0.9925 < high < 1
