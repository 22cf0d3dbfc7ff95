"""VAR in `results/metrics.json`, the tables and the figures' data, from made-up scores and timings."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import ttest_1samp

from synthetic_results import write_results
from tinyguardrail_paper.analysis.evaluate import Results as WholeResults
from tinyguardrail_paper.analysis.var import evaluate_var, read_ablation, read_search
from tinyguardrail_paper.figures.figures import front_rows
from tinyguardrail_paper.scores.inputs import InputError
from tinyguardrail_paper.settings.params import load_params
from tinyguardrail_paper.tables.registry import TABLES
from tinyguardrail_paper.tables.table import RESULTS
from var_moe.reference.recipes import RECIPES

ROOT_PARAMS = Path(__file__).parents[1] / "params.yaml"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_results(tmp_path, rows=60)
    (tmp_path / "params.yaml").write_text(ROOT_PARAMS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_every_preset_has_its_change_and_both_p_values(folder):
    tests, _ = evaluate_var(load_params())
    for preset in ("conservative", "balanced", "aggressive"):
        expected = []
        for seed in range(3):
            table = pq.read_table(folder / f"data/scores/var/seed{seed}.parquet").to_pandas()
            nats = (table[f"nll_var_{preset}"] - table["nll_baseline"]).sum() / table["tokens"].sum()
            expected.append(np.expm1(nats))
        found = tests[f"preset_{preset}"]["perplexity_change"]
        assert found.values == pytest.approx(expected)
        p = ttest_1samp(expected, 0.01, alternative="less").pvalue
        assert found.extra["p_seeds"] == pytest.approx(p, abs=1e-6)
        low, high = found.extra["ci95_documents"]
        assert low < found.mean < high
        assert (found.extra["p_documents"] < 0.025) == (high < 0.01)
        assert "skip_perplexity_change" in tests[f"preset_{preset}"]
    assert tests["docstrings"] is tests["preset_balanced"]


def test_a_wider_margin_makes_a_preset_non_inferior(folder):
    params = load_params()
    strict = params.model_copy(update={"var": params.var.model_copy(update={"margin": 0.001})})
    loose = params.model_copy(update={"var": params.var.model_copy(update={"margin": 0.05})})
    verdicts = [
        evaluate_var(each)[0]["docstrings"]["perplexity_change"].extra["non_inferior"]
        for each in (strict, loose)
    ]
    assert verdicts == [False, True]


def test_speedups_are_means_of_the_seeds_medians(folder):
    tests, _ = evaluate_var(load_params())
    assert tests["prefill_8x256_threads1"]["speedup_vs_best_stock"].mean == pytest.approx(1.29)
    assert tests["prefill_8x256_threads1"]["skip_speedup_vs_best_stock"].mean == pytest.approx(1.27)
    assert tests["preset_aggressive"]["speedup_vs_best_stock"].mean == pytest.approx(1.4)
    assert tests["docstrings"]["speedup_vs_best_stock"].mean == pytest.approx(1.29)
    repeats = tests["decode_1_threads1"]["speedup_vs_best_stock"].extra["ci95_repeats"]
    assert repeats == pytest.approx([1.26, 1.31])


@pytest.mark.parametrize("stale", [{"preset": "aggressive"}, {"workloads": None}])
def test_timings_of_other_results_are_left_out(folder, stale):
    def change(record):
        for key, value in stale.items():
            record.pop(key) if value is None else record.update({key: value})

    edit(folder / "results/latency/var_seed1.json", change)
    tests, detail = evaluate_var(load_params())
    assert detail["timings"] is None
    assert "speedup_vs_best_stock" not in tests["docstrings"]
    assert "prefill_8x256_threads1" not in tests


def test_scores_that_disagree_with_a_report_are_named(folder):
    edit(
        folder / "results/var/seed1.json",
        lambda report: report["presets"]["aggressive"].update(perplexity_change=0.5),
    )
    with pytest.raises(
        InputError, match=r"seed1\.parquet: perplexity change .* run: dvc repro --force var_eval"
    ):
        evaluate_var(load_params())


def test_scores_without_a_presets_column_are_named(folder):
    path = folder / "data/scores/var/seed0.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["nll_skip_balanced"]), path)
    with pytest.raises(InputError, match="no column nll_skip_balanced; run: dvc repro --force var_eval"):
        evaluate_var(load_params())


def test_the_front_carries_test_figures_and_other_trials_do_not(folder):
    rows = {row[0]: row[1:] for row in front_rows(read_search())}
    assert rows["balanced"] == [True, 1.4, 0.003, 0.0035, 0.0025, 0.0045]
    assert rows["trial_2"] == [False, 1.8, 0.004, None, None, None]


def test_an_empty_front_is_an_error(folder):
    edit(folder / "results/var_search.json", lambda search: search.update(front=[]))
    with pytest.raises(InputError, match="the front is empty"):
        read_search()


def test_the_recipes_are_compared_with_plain_training_and_each_with_itself(folder):
    params = load_params()
    found = read_ablation(params)
    assert tuple(found) == RECIPES
    for number, recipe in enumerate(RECIPES):
        assert found[recipe]["off_against_plain"] == pytest.approx(0.0012 * number, abs=1e-9)
        assert found[recipe]["perplexity_change"] == pytest.approx(0.02 - 0.004 * number, abs=1e-3)
        low, high = found[recipe]["perplexity_change_ci95"]
        assert low < found[recipe]["perplexity_change"] < high
        assert found[recipe]["router_stays_valid"] == (number <= 2)
    assert found["entropy"]["second_weight"] == pytest.approx(0.2)
    two_seeds = params.var.ablate.model_copy(update={"seeds": [0, 1]})
    more = params.model_copy(update={"var": params.var.model_copy(update={"ablate": two_seeds})})
    with pytest.raises(
        InputError, match=r"var_ablate/seed1/plain\.\w+ is missing; run: dvc repro var_ablate"
    ):
        read_ablation(more)


def test_tables_hold_what_was_measured(folder):
    tests, detail = evaluate_var(load_params())
    detail |= {"search": read_search(), "ablation": read_ablation(load_params())}

    class Results:
        systems, var, look_up = {"var": tests}, detail, WholeResults.look_up

    tables = {
        each.name: each.build({RESULTS: Results()}) for each in TABLES if each.name.split("_")[0] == "var"
    }
    assert [row[0] for row in tables["var_presets"].rows] == ["conservative", "balanced", "aggressive"]
    assert tables["var_speed"].rows[0][0] == "prefill 8x256, 1 thread"
    assert {row[-1] for row in tables["var_criteria"].rows} <= {"met", "not met", "not measured"}
    for table in tables.values():
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.header)}
    detail |= {"timings": None, "workloads": {}}
    untimed = next(each for each in TABLES if each.name == "var_speed").build({RESULTS: Results()})
    assert untimed.rows[0][0] == "not measured"
    assert len(untimed.rows[0]) == len(untimed.header)
