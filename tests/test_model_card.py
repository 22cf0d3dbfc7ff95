"""The model card says what the results say, in the form that the Hugging Face hub reads."""

import ast
import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from synthetic_results import write_results
from tinyguardrail_paper.analysis.evaluate import evaluate
from tinyguardrail_paper.document.model_card import markdown, model_card
from tinyguardrail_paper.settings.params import load_params
from tinyguardrail_paper.tables.registry import build_tables

ROOT = Path(__file__).parents[1]
OURS = {
    "recall": "recall",
    "false_positive_rate": "false_positive_rate",
    "roc_auc": "auc",
    "accuracy": "accuracy",
    "f1": "macro_f1",
}


def make_card(folder, **inputs):
    """Card, metrics and data card of made-up results."""
    write_results(folder, **inputs)
    settings = (ROOT / "params.yaml").read_text(encoding="utf-8")
    settings = settings.replace("bootstrap_samples: 1000", "bootstrap_samples: 100")
    if "seeds" in inputs:
        settings = settings.replace("  - 0\n  - 1\n  - 2\n", "".join(f"  - {s}\n" for s in inputs["seeds"]))
    (folder / "params.yaml").write_text(settings, encoding="utf-8")
    data_card = json.loads((folder / "results/data_card.json").read_text())
    data_card["by_language"]["und"] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        params = load_params()
        results = evaluate(params)
        text = str(model_card(results, build_tables(results, data_card), data_card, params))
    return text, results.metrics_json(), data_card


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_card(tmp_path_factory.mktemp("card"), rows=900, public=True)


@pytest.fixture(scope="module")
def card(made):
    return ModelCard(made[0])


def section(text, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def cells(text):
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]


def test_the_hub_reads_the_front_matter(card):
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    assert card.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert card.data.language == ["de", "en"]  # "und" is none


def test_every_measured_value_is_that_of_the_metrics(card, made):
    guard = made[1]["guard"]
    found = {
        (each.dataset_type, OURS[each.metric_type]): each.metric_value for each in card.data.eval_results
    }
    assert found == {(test, metric): guard[test][metric]["mean"] for test, metric in found}
    assert {("plain", metric) for metric in OURS.values()} < set(found)
    assert {
        ("hard_negatives", "false_positive_rate"),
        ("flipattack", "recall"),
        ("control_flipattack", "false_positive_rate"),
        ("notinject", "false_positive_rate"),
        ("bipia", "recall"),
    } < set(found)


def test_the_card_says_what_the_guard_tells(card):
    assert "says what it is after: benign, injection, jailbreak, harm." in card.text


def test_the_evaluation_has_every_value_with_its_interval(card, made):
    rows = cells(section(card.text, "Evaluation"))
    recall = made[1]["guard"]["plain"]["recall"]
    low, high = recall["ci95"]
    expected = f"{100 * recall['mean']:.1f}% [{100 * low:.1f}%, {100 * high:.1f}%]"
    narrower = [
        f"{100 * made[1][f'guard_{name}']['plain']['recall']['mean']:.1f}%"
        for name in ("injection", "jailbreak", "harm")
    ]
    assert ["untransformed test rows", "recall", expected, *narrower, f"{recall['n']:,}"] in rows
    assert len([row for row in rows if "[" in row[2]]) >= len(card.data.eval_results)


def test_the_thresholds_of_every_seed_and_policy_are_told(card, made):
    table = cells(section(card.text, "Evaluation"))
    rows = [row for row in table if row[0] in {"0", "1", "2"}]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert ["Seed", "Temperature", "injection", "jailbreak", "harm", "any"] in table
    for column, system in enumerate(("guard_injection", "guard_jailbreak", "guard_harm", "guard"), start=2):
        mean = made[1][system]["calibration"]["block_threshold"]["mean"]
        assert sum(float(row[column]) for row in rows) / 3 == pytest.approx(mean, abs=0.001)
    assert ["any", "injection + jailbreak + harm", "5.0%"] in table


def test_the_training_data_are_counted(card, made):
    rows = cells(section(card.text, "Training data"))
    by_split = made[2]["by_split"]
    counts = {row[1]: row[2] for row in rows if len(row) == 3}
    assert {name: counts[name] for name in by_split} == {name: f"{n:,}" for name, n in by_split.items()}
    assert "Authored corpus" in {row[0] for row in rows}


def test_the_targets_that_were_missed_are_limitations_and_no_others(card, made):
    limits, guard = section(card.text, "Limitations"), made[1]["guard"]
    missed = {
        "False positives on hard negatives": not guard["hard_negatives"]["false_positive_rate"]["mean"]
        < 0.10,
        "FlipAttack detection": not guard["flipattack"]["recall"]["mean"] > 0.80,
        "95th percentile latency": not guard["latency"]["p95_ms"]["mean"] < 20,
    }
    assert {title for title in missed if f"- Not met: {title}, required" in limits} == {
        title for title, is_missed in missed.items() if is_missed
    }
    assert 0 < sum(missed.values()) < 3  # the made-up numbers show both sides
    assert "VAR" not in limits


def test_the_code_of_the_card_names_what_exists(card):
    blocks = re.findall(r"```python\n(.*?)```", card.text, re.S)
    assert len(blocks) == 2
    for block in blocks:
        imports = [node for node in ast.parse(block).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert imports
        exec(compile(ast.Module(imports, []), "card", "exec"), {})


def test_what_was_not_timed_is_said(tmp_path):
    text, _, _ = make_card(tmp_path, seeds=(4,), rows=300, timings=False)
    assert "- Not met: 95th percentile latency, required < 20 ms: not measured." in text
    assert "| routed | not measured |" in section(text, "Size and latency")


def test_a_bar_in_a_cell_does_not_end_it():
    assert markdown(("a", "b"), [("x|y", "z")]).splitlines()[-1] == r"| x\|y | z |"
