"""The `figures` stage on made-up inputs: what it writes, and what it refuses to write."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from synthetic_results import write_results
from tinyguardrail.evaluation.evaluate import evaluate
from tinyguardrail.evaluation.inputs import InputError
from tinyguardrail.evaluation.summary import over_seeds, over_texts
from tinyguardrail.params import load_params
from tinyguardrail.reporting.bars import BARS
from tinyguardrail.reporting.bars import verdict as verdict_of_bar
from tinyguardrail.reporting.report import CollapseError, write_report
from tinyguardrail.reporting.run import run_record
from tinyguardrail.reporting.table import Table
from tinyguardrail.reporting.tables import booktabs
from tinyguardrail.reporting.targets import TARGETS, judge

ROOT = Path(__file__).parents[1]
PAPER = (ROOT / "paper/main.typ").read_text(encoding="utf-8")


def make_scale(folder, **inputs):
    """A scale's folder with inputs and quick settings."""
    write_results(folder, **inputs)
    (folder / "paper").mkdir()
    for name in ("main.typ", "references.bib"):
        shutil.copy(ROOT / "paper" / name, folder / "paper")
    edit_params(folder, ROOT / "params.yaml", ("statistics", "bootstrap_samples", 100))
    if inputs.get("public"):
        edit_params(folder, folder / "params.yaml", ("scale", None, "full"))
    if "seeds" in inputs:
        edit_params(folder, folder / "params.yaml", ("seeds", None, list(inputs["seeds"])))
    return folder


def edit_params(folder, source, change):
    yaml = YAML()
    content = yaml.load(source.read_text(encoding="utf-8"))
    section, key, value = change
    if key is None:
        content[section] = value
    else:
        content[section][key] = value
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def run_stage(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        params = load_params()
        results = evaluate(params)
        write_report(results, params)
    return results


def outputs(folder):
    """Relative path -> bytes of everything the stage writes."""
    names = ("results/metrics.json", "results/headline.json", "results/run.json")
    files = [folder / name for name in (*names, "paper/numbers.json", "paper/paper.pdf")]
    for name in ("plots", "tables", "figures"):
        files += sorted((folder / "results" / name).iterdir())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def scale(tmp_path_factory):
    folder = make_scale(tmp_path_factory.mktemp("scale"), rows=900)
    write_results(folder / "other", seeds=(9,), rows=100)  # left over from a seed no longer asked for
    shutil.copy(folder / "other/data/scores/guard/seed9.parquet", folder / "data/scores/guard")
    results = run_stage(folder)
    return folder, results, outputs(folder)


@pytest.fixture(scope="module")
def full_scale(tmp_path_factory):
    """The same with rows of the public benchmarks."""
    folder = make_scale(tmp_path_factory.mktemp("full"), seeds=(0, 1), rows=900, public=True)
    return folder, run_stage(folder), outputs(folder)


@pytest.fixture
def metrics(scale):
    return json.loads(scale[2]["results/metrics.json"])


@pytest.fixture
def numbers(scale):
    return json.loads(scale[2]["paper/numbers.json"])


# ---- results files ---------------------------------------------------------------------


def test_stage_writes_every_output_that_dvc_expects(scale):
    stage = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["figures"]
    for out in stage["outs"]:
        assert (scale[0] / next(iter(out))).exists()


def test_metrics_have_the_documented_fields(metrics):
    seen = 0
    for system, tests in metrics.items():
        for found in tests.values():
            for name, value in found.items():
                if name == "collapsed":
                    assert value is False
                    continue
                assert {"mean", "std", "ci95", "n", "seeds"} <= set(value)
                assert value["seeds"] == ([0] if system in ("leave_one_out", "ablation") else [0, 1, 2])
                low, high = value["ci95"]
                assert low <= value["mean"] <= high
                seen += 1
    assert seen > 100


@pytest.mark.parametrize("name", ["recall", "false_positive_rate", "auc", "accuracy", "ece", "macro_f1"])
def test_rates_are_fractions(metrics, name):
    bounds = [metrics["guard"]["authored"][name][field] for field in ("mean", "ci95")]
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
    assert "tpr_at_0.1pct_fpr" not in metrics["guard"]["authored"]


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


# ---- paper ---------------------------------------------------------------------------------


def test_prose_has_no_number_of_its_own():
    text = re.sub(r"//.*", "", PAPER)
    layout = re.sub(r"-?\d+(\.\d+)?(em|pt|cm|fr|%)|\"[^\"]*\"|luma\(\d+\)", "", text)
    assert re.findall(r"\d+\.\d+|\d{2,}", layout) == []


def paper_at(name):
    """The paper's source, without what the full scale alone shows unless it is that."""
    only_full = re.compile(r'^#if data\.scale == "full" \[\n.*?^\]', re.DOTALL | re.MULTILINE)
    return PAPER if name == "full" else only_full.sub("", PAPER)


@pytest.mark.parametrize("name", ["root", "full"])
def test_every_number_of_the_paper_is_in_numbers_json(name, request):
    made = request.getfixturevalue("full_scale" if name == "full" else "scale")
    numbers, paper = json.loads(made[2]["paper/numbers.json"]), paper_at(name)
    assert numbers["scale"] == name
    keys = re.findall(r'#(?:num|span|entry)\("([^"]+)"\)', paper)
    assert len(keys) > 30
    assert set(keys) <= set(numbers["values"])
    assert set(re.findall(r'(?:verdict|target|met|settled)\("([^"]+)"\)', paper)) <= set(numbers["targets"])
    assert set(re.findall(r'#results\("([^"]+)"', paper)) == set(numbers["tables"])
    figures = set(re.findall(r'#drawing\("([^"]+)"', paper))
    guard = {"detection", "reliability", "roc", "router_scores", "routing", "training"}
    assert figures == guard | {"var", "var_front"}


def test_texts_say_what_the_raw_numbers_are(numbers):
    for value in numbers["values"].values():
        if value["text"].endswith("%"):
            written = float(value["text"].rstrip("%").replace("\u2212", "-"))
            assert written == pytest.approx(100 * value["raw"], abs=0.051)


def test_latex_tables_hold_the_same_rows_as_the_paper(scale, numbers):
    for name, table in numbers["tables"].items():
        rebuilt = booktabs(Table(name, table["caption"], tuple(table["header"]), table["rows"]))
        assert scale[2][f"results/tables/{name}.tex"].decode() == rebuilt


def test_paper_is_a_pdf(scale):
    assert scale[2]["paper/paper.pdf"].startswith(b"%PDF-")


# ---- public benchmarks ------------------------------------------------------------------------


def public_rows(full_scale):
    numbers = json.loads(full_scale[2]["paper/numbers.json"])
    return numbers, {(row[0], row[1]): row for row in numbers["tables"]["public"]["rows"]}


def test_the_root_scale_says_nothing_of_public_benchmarks(scale, numbers, metrics):
    assert "public" not in numbers["tables"]
    assert not [key for key in numbers["values"] if "notinject" in key or "advbench" in key]
    assert "results/tables/public.csv" not in scale[2]
    assert "notinject" not in metrics["guard"]


def test_the_public_table_holds_the_measured_numbers(full_scale):
    numbers, rows = public_rows(full_scale)
    metrics = json.loads(full_scale[2]["results/metrics.json"])["guard"]
    for title, test, metric, kind in (
        ("NotInject", "notinject", "false_positive_rate", "false positives"),
        ("BIPIA, planted instructions", "bipia", "recall", "recall"),
        ("ToxicChat", "toxic_chat", "recall", "recall"),
        ("JailbreakBench, five methods", "jbb_methods", "recall", "recall"),
        ("AdvBench, FlipAttack", "flipattack_advbench", "recall", "recall"),
    ):
        row, found = rows[title, kind], metrics[test][metric]
        low, high = (f"{100 * bound:.1f}%" for bound in found["ci95"])
        assert row[2:4] == [f"{found['n']:,}", f"{100 * found['mean']:.1f}% [{low}, {high}]"]
        assert numbers["values"][f"guard.{test}.{metric}"]["raw"] == found["mean"]
    assert metrics["notinject"]["false_positive_rate"]["n"] == 48
    assert metrics["notinject_291"]["false_positive_rate"]["n"] == 40


def test_every_published_figure_says_whether_it_can_be_compared(full_scale):
    published = {key: row[4] for key, row in public_rows(full_scale)[1].items() if row[4] != "\u2014"}
    expected = "same set: PIGuard 12.7%, GPT-4o 13.3%, ProtectAI v2 42.8%"  # 100% less 87.3, 86.7, 57.2
    assert published.pop(("NotInject", "false positives")) == expected
    assert len(published) == 2
    assert all(text.startswith("not comparable (") for text in published.values())


def test_disguised_public_requests_stand_before_their_control(full_scale):
    rows = public_rows(full_scale)[0]["tables"]["public"]["rows"]
    disguised = [index for index, row in enumerate(rows) if row[0].startswith("AdvBench, ")]
    assert len(disguised) == 6  # families, not their variants
    assert all(rows[index + 1][0].endswith("its control, benign") for index in disguised)


def test_a_full_scale_that_lacks_a_benchmark_says_so(tmp_path):
    folder = make_scale(tmp_path, seeds=(4,), rows=160, timings=False, public=True)
    file = folder / "data/scores/guard/seed4.parquet"
    table = pq.read_table(file)
    kept = table.filter(pc.not_equal(table["source"], "bipia"))
    pq.write_table(kept, file)
    file = folder / "data/scores/evasion/seed4.parquet"
    attacks = pq.read_table(file)
    pq.write_table(attacks.filter(pc.is_in(attacks["row"], kept["row"].combine_chunks())), file)
    run_stage(folder)
    numbers = json.loads((folder / "paper/numbers.json").read_text())
    assert numbers["values"]["guard.bipia.recall"]["text"] == "not measured"
    assert not [row for row in numbers["tables"]["public"]["rows"] if row[0].startswith("BIPIA")]


# ---- verdicts --------------------------------------------------------------------------------


def target_named(name):
    return next(target for target in TARGETS if target.name == name)


class OneMetric:
    """Results that hold a single summary, wherever it is looked up."""

    def __init__(self, path, summary):
        self.systems = {path[0]: {path[1]: {path[2]: summary}}}


def verdict(name, summary):
    target = target_named(name)
    return judge(target, OneMetric(target.metric, summary))


def test_a_target_is_met_only_on_its_side_of_the_limit():
    assert verdict("flipattack", over_texts([0.81], (0.79, 0.83), 100, [0]))["verdict"] == "met"
    assert verdict("flipattack", over_texts([0.80], (0.78, 0.82), 100, [0]))["verdict"] == "not met"
    assert verdict("hard_negatives", over_texts([0.1], (0.05, 0.2), 100, [0]))["verdict"] == "not met"
    assert verdict("throughput", over_seeds([1.2, 1.2], 5, [0, 1]))["verdict"] == "met"


def test_a_verdict_says_when_its_interval_crosses_the_limit():
    assert verdict("flipattack", over_texts([0.81], (0.79, 0.83), 100, [0]))["settled"] is False
    assert verdict("flipattack", over_texts([0.91], (0.89, 0.93), 100, [0]))["settled"] is True


def test_what_was_not_measured_is_not_met():
    target = target_named("latency")
    assert judge(target, OneMetric(("guard", "x", "y"), None))["verdict"] == "not measured"


# ---- bars and INT8 -----------------------------------------------------------------------------


def test_every_bar_is_measured_where_every_benchmark_is(full_scale):
    """No name of a test or metric is misspelt."""
    for each in BARS:
        assert verdict_of_bar(each, full_scale[1]) in ("met", "not met"), each.title
    assert len({each.title for each in BARS}) == len(BARS)


def test_the_table_agrees_with_the_metrics_file(full_scale):
    guard = json.loads(full_scale[2]["results/metrics.json"])["guard"]
    numbers = json.loads(full_scale[2]["paper/numbers.json"])
    rows = {row[0]: row for row in numbers["tables"]["bars"]["rows"]}
    rate = guard["notinject_291"]["false_positive_rate"]
    row = rows["NotInject, unseen by PIGuard: false positives"]
    low, high = (f"{100 * bound:.1f}%" for bound in rate["ci95"])
    assert row[2:4] == [f"{100 * rate['mean']:.1f}% [{low}, {high}]", f"{rate['n']:,}"]
    assert row[6] == ("met" if rate["mean"] <= 0.068 and rate["ci95"][1] < 0.1 else "not met")
    methods = [
        guard[f"jbb_{name}"]["recall"]["mean"] for name in ("pair", "gcg", "jbc", "dsn", "random_search")
    ]
    assert guard["jbb_methods"]["macro_recall"]["mean"] == pytest.approx(sum(methods) / 5, abs=2e-6)
    assert numbers["bars"] == {each.title: rows[each.title][6] for each in BARS}


def test_the_root_scale_shows_no_bars(scale):
    assert "results/tables/bars.csv" not in scale[2]
    assert json.loads(scale[2]["paper/numbers.json"])["bars"] == {}


def test_int8_is_compared_seed_by_seed(scale):
    found = json.loads(scale[2]["results/metrics.json"])["guard"]["int8_against_fp32"]
    assert found["macro_f1_gap_to_fp32"]["mean"] == pytest.approx(0.708 - 0.71)
    assert found["verdict_agreement"]["n"] == 400
    low, high = found["verdict_agreement"]["ci95"]
    assert 0.97 < low < 0.9925 < high < 1


# ---- refusals ----------------------------------------------------------------------------------


@pytest.fixture
def copy_of_inputs(scale, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(scale[0], folder)
    for name in ("metrics.json", "headline.json", "plots", "tables", "figures"):
        path = folder / "results" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("data/scores/guard/seed1.parquet", "benchmark"),
        ("data/scores/var/seed2.parquet", "var_eval"),
        ("results/export/seed0.json", "export"),
        ("data/scores/evasion/seed1.parquet", "evasion"),
        ("results/evasion/seed0.json", "evasion"),
        ("data/scores/leave_one_out/none.parquet", "leave_one_out"),
        ("data/scores/leave_one_out/encoding.parquet", "leave_one_out"),
        ("data/scores/ablation/seed0/adversarial.parquet", "ablate"),
        ("results/training/seed2.csv", "train"),
        ("results/var/seed1.json", "var_eval"),
        ("results/var_ablate/seed0.json", "var_ablate"),
        ("results/var_search.json", "var_search"),
        ("results/data_card.json", "synthesize"),
    ],
)
def test_a_missing_input_is_named_and_nothing_is_written(copy_of_inputs, name, stage):
    (copy_of_inputs / name).unlink()
    with pytest.raises(InputError) as caught:
        run_stage(copy_of_inputs)
    assert str(caught.value) == f"{name} is missing; run: dvc repro {stage}"
    assert not (copy_of_inputs / "results/metrics.json").exists()


def test_the_stage_ends_with_one_line(copy_of_inputs):
    (copy_of_inputs / "data/scores/guard/seed1.parquet").unlink()
    script = [sys.executable, ROOT / "stages/figures.py"]
    ended = subprocess.run(script, cwd=copy_of_inputs, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: data/scores/guard/seed1.parquet is missing; run: dvc repro benchmark\n"


@pytest.mark.parametrize("lost", ["int8_against_fp32", "verdict_agreement"])
def test_an_export_report_without_the_int8_comparison_is_named(copy_of_inputs, lost):
    path = copy_of_inputs / "results/export/seed1.json"
    report = json.loads(path.read_text())
    (report if lost in report else report["int8_against_fp32"]).pop(lost)
    path.write_text(json.dumps(report))
    with pytest.raises(
        InputError, match=r"seed1\.json: no int8_against_fp32\.\w+; run: dvc repro --force export"
    ):
        run_stage(copy_of_inputs)


def test_a_collapsed_router_stops_the_stage_and_is_on_record(copy_of_inputs):
    edit_params(copy_of_inputs, copy_of_inputs / "params.yaml", ("router", "threshold", 0.0))
    with pytest.raises(CollapseError, match="seed 0 sends 100% of validation rows"):
        run_stage(copy_of_inputs)
    metrics = json.loads((copy_of_inputs / "results/metrics.json").read_text())
    assert metrics["guard"]["router"]["collapsed"] is True
    assert not (copy_of_inputs / "results/figures").exists()
    assert not (copy_of_inputs / "results/headline.json").exists()


def test_a_tiny_untimed_scale_of_one_seed_makes_a_paper(tmp_path):
    folder = make_scale(tmp_path, seeds=(4,), rows=160, timings=False)
    run_stage(folder)
    numbers = json.loads((folder / "paper/numbers.json").read_text())
    assert numbers["targets"]["latency"]["verdict"] == "not measured"
    assert numbers["targets"]["throughput"]["verdict"] == "not measured"
    assert numbers["targets"]["perplexity"]["verdict"] == "not met"  # one seed shows nothing about others
    assert "latency" not in json.loads((folder / "results/metrics.json").read_text())["guard"]
    assert (folder / "paper/paper.pdf").read_bytes().startswith(b"%PDF-")
