"""The paper of a scale shows the measured numbers, and only those of its scale."""

import json
import re
import shutil

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from reporting_scale import ROOT, edit_params, make_scale, outputs, run_stage
from tinyguardrail_common.errors import UserError
from tinyguardrail_paper.analysis.suites import BENCHMARKS
from tinyguardrail_paper.figures.figures import FIGURES
from tinyguardrail_paper.tables.acceptance import ACCEPTANCE
from tinyguardrail_paper.tables.registry import TABLES
from tinyguardrail_paper.tables.table import Table, table_named
from tinyguardrail_paper.tables.writing import booktabs
from tinyguardrail_paper.typesetting import PaperError, render

PAPER = (ROOT / "paper/main.typ").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def full_scale(tmp_path_factory):
    """The same as `scale`, with rows of the public benchmarks."""
    folder = make_scale(tmp_path_factory.mktemp("full"), seeds=(0, 1), rows=900, public=True)
    return folder, run_stage(folder), outputs(folder)


@pytest.fixture
def numbers(scale):
    return json.loads(scale[2]["paper/numbers.json"])


# ---- paper -----------------------------------------------------------------------------------


def test_prose_has_no_number_of_its_own():
    text = re.sub(r"//.*", "", PAPER)
    layout = re.sub(r"-?\d+(\.\d+)?(em|pt|cm|fr|%)|\"[^\"]*\"|luma\(\d+\)", "", text)
    assert re.findall(r"\d+\.\d+|\d{2,}", layout) == []


def paper_at(name):
    """The paper's source, without what the full scale alone shows unless it is that."""
    sections = re.compile(r"^#if public \[\n.*?^\]", re.DOTALL | re.MULTILINE)
    clauses = re.compile(r"#if public \[[^\]]*\]")
    return PAPER if name == "full" else clauses.sub("", sections.sub("", PAPER))


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
    assert set(re.findall(r'#drawing\("([^"]+)"', paper)) == {each.name for each in FIGURES}


def test_a_table_is_declared_once():
    names = [each.name for each in TABLES]
    assert len(set(names)) == len(names)
    assert {"targets", "acceptance", "var_criteria"} <= set(names)


def test_an_unknown_table_is_one_line_that_names_the_known_ones():
    with pytest.raises(UserError, match=r"^unknown table 'bars'; known: data, size$"):
        table_named([Table("data", "", (), []), Table("size", "", (), [])], "bars")


def test_a_paper_that_asks_for_an_unknown_table_says_which_are_known(scale, tmp_path):
    folder = shutil.copytree(scale[0], tmp_path / "copy")
    paper = folder / "paper/main.typ"
    paper.write_text(PAPER.replace('#results("targets"', '#results("tragets"'), encoding="utf-8")
    with pytest.raises(PaperError, match=r"no table tragets; known: targets, data, [^\n]*$"):
        render(paper, root=folder)


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


def test_a_tiny_untimed_scale_of_one_seed_makes_a_paper(tmp_path):
    folder = make_scale(tmp_path, seeds=(4,), rows=320, timings=False)
    edit_params(folder, folder / "params.yaml", ("var", "seeds", [0]))
    run_stage(folder)
    numbers = json.loads((folder / "paper/numbers.json").read_text())
    assert numbers["targets"]["latency"]["verdict"] == "not measured"
    assert numbers["targets"]["throughput"]["verdict"] == "not measured"
    assert numbers["targets"]["perplexity"]["verdict"] == "not met"  # one seed shows nothing about others
    assert "latency" not in json.loads((folder / "results/metrics.json").read_text())["guard"]
    assert (folder / "paper/paper.pdf").read_bytes().startswith(b"%PDF-")


# ---- public benchmarks -----------------------------------------------------------------------


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
    published = {key: row[7] for key, row in public_rows(full_scale)[1].items() if row[7] != "\u2014"}
    expected = "same set: PIGuard 12.7%, GPT-4o 13.3%, ProtectAI v2 42.8%"  # 100% less 87.3, 86.7, 57.2
    assert published.pop(("NotInject", "false positives")) == expected
    assert len(published) == 2
    assert all(text.startswith("not comparable (") for text in published.values())


def test_obfuscated_public_requests_stand_before_their_control(full_scale):
    rows = public_rows(full_scale)[0]["tables"]["public"]["rows"]
    obfuscated = [index for index, row in enumerate(rows) if row[0].startswith("AdvBench, ")]
    assert len(obfuscated) == 6  # families, not their variants
    assert all(rows[index + 1][0].endswith("its control, benign") for index in obfuscated)


def test_a_full_scale_that_lacks_a_benchmark_says_so(tmp_path):
    folder = make_scale(tmp_path, seeds=(4,), rows=320, timings=False, public=True)
    shutil.rmtree(folder / "data/scores/peers")  # which nobody measured here
    file = folder / "data/scores/guard/seed4.parquet"
    table = pq.read_table(file)
    source = pc.replace_substring(table["source"], "bipia", "elsewhere")
    pq.write_table(table.set_column(table.column_names.index("source"), "source", source), file)
    run_stage(folder)
    numbers = json.loads((folder / "paper/numbers.json").read_text())
    assert not [key for key in numbers["values"] if key.startswith("guard.bipia")]
    assert (folder / "paper/paper.pdf").is_file()  # the paper itself says "not measured"
    assert not [row for row in numbers["tables"]["public"]["rows"] if row[0].startswith("BIPIA")]
    assert "Guardify" not in [row[0] for row in numbers["tables"]["main"]["rows"]]


# ---- acceptance criteria ---------------------------------------------------------------------


def test_every_criterion_is_measured_where_every_benchmark_is(full_scale):
    """No name of a test or metric is misspelt."""
    verdicts = {each.key: each.verdict(full_scale[1]) for each in ACCEPTANCE}
    assert len(verdicts) == len(ACCEPTANCE)
    absent = ["two families in a row"]  # from the made-up rows
    absent += [] if "injecagent" in BENCHMARKS else ["InjecAgent"]
    missing = [key for key, verdict in verdicts.items() if verdict == "not measured"]
    assert all(any(key.startswith(name) for name in absent) for key in missing), missing
    assert set(verdicts.values()) == {"met", "not met", "not measured"}


def test_the_table_agrees_with_the_metrics_file(full_scale):
    metrics = json.loads(full_scale[2]["results/metrics.json"])
    numbers = json.loads(full_scale[2]["paper/numbers.json"])
    rows = {(row[0], row[1]): row for row in numbers["tables"]["acceptance"]["rows"]}
    for policy, system, most, upper in (
        ("injection", "guard_injection", 0.05, 0.08),
        ("any", "guard", 0.1, 1),
    ):
        rate = metrics[system]["notinject"]["false_positive_rate"]
        row = rows[policy, "NotInject: false positives"]
        low, high = (f"{100 * bound:.1f}%" for bound in rate["ci95"])
        assert row[3:5] == [f"{100 * rate['mean']:.1f}% [{low}, {high}]", f"{rate['n']:,}"]
        assert row[7] == ("met" if rate["mean"] <= most and rate["ci95"][1] < upper else "not met")
    guard = metrics["guard_jailbreak"]
    methods = [
        guard[f"jbb_{name}"]["recall"]["mean"] for name in ("pair", "gcg", "jbc", "dsn", "random_search")
    ]
    assert guard["jbb_methods"]["macro_recall"]["mean"] == pytest.approx(sum(methods) / 5, abs=2e-6)
    assert numbers["acceptance"] == {each.key: rows[each.policy, each.title][7] for each in ACCEPTANCE}


def test_the_root_scale_shows_no_acceptance_criteria(scale):
    assert "results/tables/acceptance.csv" not in scale[2]
    assert json.loads(scale[2]["paper/numbers.json"])["acceptance"] == {}
