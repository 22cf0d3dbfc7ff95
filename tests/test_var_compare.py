"""Criteria and grades of VAR: each limit on its side, and the command that prints them."""

import copy
import json

import pytest
from scipy.stats import t as student
from typer.testing import CliRunner

from tinyguardrail.cli import app
from tinyguardrail_common.errors import UserError
from var_moe.evaluation.compare import CRITERIA, grade, judge, perplexity_upper_bound, read_results

PASSING = {"interval_width": 0.017, "coverage": 0.955}


def report(seed=0, change=0.001, high=0.003, learned=0.10, **more):
    found = {"perplexity_change": change, "perplexity_change_ci95": [-0.001, high], "learned_share": learned}
    presets = {"conservative": found, "balanced": found, "aggressive": found}
    return {"corpus": "docstrings", "preset": "balanced", "seed": seed, "presets": presets, **more}


def speeds(stock, own):
    return {"vs_best_stock": {"median": stock, "ci95": None}, "vs_own_kernel": {"median": own, "ci95": None}}


def timing(prefill=1.35, own=1.25, decode=1.3, aggressive=1.55, **more):
    one = {"kind": "decode", "batch": 1, "threads": 1, "speedups": {"var": speeds(decode, 1.0)}}
    slow = {"kind": "decode", "batch": 1, "threads": 2, "speedups": {"var": speeds(0.5, 0.5)}}
    many = {"kind": "decode", "batch": 16, "threads": 1, "speedups": {"var": speeds(0.5, 0.5)}}
    arms = {"var": speeds(prefill, own), "var_aggressive": speeds(aggressive, 1.4)}
    first = {"kind": "prefill", "batch": 8, "threads": 1, "speedups": arms}
    return {
        "preset": "balanced",
        "headline": "a",
        "workloads": {"a": first, "b": slow, "c": many, "d": one},
        **more,
    }


def verdicts(reports, timings, preset=None):
    return {each.name: each.verdict for each in judge(reports, timings, preset)}


WHOLE = [report(seed, change, audit=PASSING) for seed, change in enumerate((0.001, 0.0011, 0.0012))]
TIMED = [timing(tracking_overhead=0.01, phase_one={"ratio": 1.05})] * 3


def test_everything_that_holds_is_excellent():
    found = judge(WHOLE, TIMED)
    assert {each.name for each in found} == {each.name for each in CRITERIA}
    assert {each.verdict for each in found} == {"met"}
    assert grade(found) == "excellent"


@pytest.mark.parametrize(
    ("name", "reports", "timings"),
    [
        ("perplexity", [report(high=0.0051, audit=PASSING)], TIMED[:1]),
        ("learned_share", [report(learned=0.1101, audit=PASSING)], TIMED[:1]),
        ("audit_width", [report(audit=PASSING | {"interval_width": 0.021})], TIMED[:1]),
        ("audit_coverage", [report(audit=PASSING | {"coverage": 0.929})], TIMED[:1]),
        ("prefill_vs_best_stock", WHOLE[:1], [TIMED[0] | timing(prefill=1.29)]),
        ("prefill_vs_own_kernel", WHOLE[:1], [TIMED[0] | timing(own=1.19)]),
        ("decode_vs_best_stock", WHOLE[:1], [TIMED[0] | timing(decode=1.24)]),
        ("tracking_overhead", WHOLE[:1], [timing(tracking_overhead=0.021, phase_one={"ratio": 1.0})]),
        ("phase_one_ratio", WHOLE[:1], [timing(tracking_overhead=0.01, phase_one={"ratio": 1.11})]),
    ],
)
def test_each_criterion_fails_on_its_own(name, reports, timings):
    found = verdicts(reports, timings)
    assert [each for each, verdict in found.items() if verdict == "not met"] == [name]
    assert grade(judge(reports, timings)) in ("good", "acceptable")


def test_other_presets_have_other_limits():
    assert verdicts([report(high=0.009)], TIMED[:1], "aggressive")["perplexity"] == "met"
    assert verdicts([report(high=0.009)], TIMED[:1], "balanced")["perplexity"] == "not met"
    assert verdicts(WHOLE, TIMED, "aggressive")["prefill_vs_best_stock"] == "met"
    slow = [timing(aggressive=1.49)]
    assert verdicts(WHOLE[:1], slow, "aggressive")["prefill_vs_best_stock"] == "not met"
    assert verdicts(WHOLE, TIMED, "conservative")["prefill_vs_best_stock"] == "not measured"
    with pytest.raises(UserError, match="preset 'bold' was not measured; known: conservative"):
        judge(WHOLE, TIMED, "bold")


def test_the_bound_is_the_larger_of_seeds_and_documents():
    changes = [0.001, 0.002, 0.006]
    found = [{"perplexity_change": change, "perplexity_change_ci95": [0, 0.004]} for change in changes]
    mean, spread = 0.003, (((0.002**2 + 0.001**2 + 0.003**2) / 2) ** 0.5)
    expected = mean + student.ppf(0.975, 2) * spread / 3**0.5
    assert perplexity_upper_bound(found) == pytest.approx(expected)
    assert perplexity_upper_bound(found[:1]) == 0.004


def test_the_rule_of_the_grades():
    assert grade(judge(WHOLE, None)) == "insufficient"  # without timings nothing is known of speed
    assert grade(judge([report()], [timing()])) == "good"  # the audit was not measured
    assert grade(judge([report()], [timing(decode=1.0)])) == "good"
    assert grade(judge([report()], [timing(decode=1.0, own=1.0)])) == "acceptable"
    assert grade(judge([report(high=0.0099)], [timing(prefill=1.01)])) == "acceptable"
    assert grade(judge([report(high=0.0101)], [timing()])) == "insufficient"
    assert grade(judge([report()], [timing(prefill=0.99)])) == "insufficient"


def write(folder, reports, timings):
    files = []
    for name in ("var", "latency"):
        (folder / name).mkdir(exist_ok=True)
    for each in reports:
        files.append(folder / f"var/seed{each['seed']}.json")
        files[-1].write_text(json.dumps(each))
    for each, record in zip(reports, timings, strict=False):
        (folder / f"latency/var_seed{each['seed']}.json").write_text(json.dumps(record))
    return files


def run(*arguments):
    return CliRunner().invoke(app, ["var", "compare", *map(str, arguments)])


def test_the_command_prints_each_verdict_and_the_grade(tmp_path):
    files = write(tmp_path, WHOLE, [timing(own=1.1)] * 3)
    done = run(*files)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "VAR, preset balanced, corpus docstrings, seeds 0, 1, 2"
    verdicts = {"met", "not met", "not measured"}
    assert len([line for line in lines if line.split("  ")[-1].strip() in verdicts]) == len(CRITERIA)
    row = next(line for line in lines if line.startswith("Prefill against our kernel"))
    assert row.split()[-5:] == ["≥", "1.20x", "1.10x", "not", "met"]
    assert lines[-1] == "Grade: good"
    assert "preset aggressive" in run(*files, "--preset", "aggressive").stdout


def test_a_seed_without_timings_leaves_speed_unmeasured(tmp_path):
    files = write(tmp_path, WHOLE, TIMED[:2])
    assert read_results(files)[1] is None
    assert "Grade: insufficient" in run(*files).stdout


def test_timings_of_another_preset_leave_speed_unmeasured(tmp_path):
    files = write(tmp_path, WHOLE, [*TIMED[:2], TIMED[2] | {"preset": "aggressive"}])
    assert read_results(files)[1] is None


def test_results_that_cannot_be_compared_are_one_line(tmp_path):
    files = write(tmp_path, WHOLE[:2], TIMED)
    other = copy.deepcopy(WHOLE[1]) | {"corpus": "wikitext_2"}
    files[1].write_text(json.dumps(other))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    for arguments, message in (
        (files, "seed1.json: corpus 'wikitext_2', but 'docstrings'"),
        ([tmp_path / "none.json"], "none.json: no such file; run: dvc repro var_eval"),
        ([tmp_path / "broken.json"], "broken.json: not JSON"),
        ([tmp_path / "list.json"], "not a report of var_eval"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
