"""The VAR stages, really run one after the other on a few sentences and a model of a few thousand weights."""

import json
import runpy
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from ruamel.yaml import YAML

from tinyguardrail_paper.experiments.latency import time_reference_models
from tinyguardrail_paper.settings.params import load_params
from var_moe.evaluation.arms import ARMS
from var_moe.reference.recipes import RECIPES

ROOT = Path(__file__).parent.parent
TOPICS = ("array", "matrix", "window", "signal", "table", "column", "index", "value")


def write_corpus(raw: Path) -> None:
    raw.mkdir(parents=True)
    text = [
        f"Return the {TOPICS[n % 8]} number {n} of a {TOPICS[n // 8 % 8]} as a new {TOPICS[(n + 3) % 8]}. "
        * 3
        for n in range(240)
    ]
    splits = ["train"] * 120 + ["validation"] * 80 + ["test"] * 40
    articles = [{"split": split, "text": each} for split, each in zip(splits, text, strict=True)]
    pq.write_table(pa.Table.from_pylist(articles), raw / "wikitext_2.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scale's folder after the four stages."""
    folder = tmp_path_factory.mktemp("stages")
    write_corpus(folder / "data/raw")
    yaml = YAML()
    content = yaml.load((ROOT / "tests/smoke/params.yaml").read_text(encoding="utf-8"))
    content["var"]["corpus"] = "wikitext_2"
    content["var"]["model"]["layers"] = 2
    content["compute"]["threads"] = 1
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        params = load_params()
        for name in ("var_train", "var_eval"):
            run(name, params, 0)
        for recipe in RECIPES:
            run("var_ablate", params, 0, recipe)
        run("var_search", params)
        one = params.model_copy(update={"var": params.var.model_copy(update={"seeds": [0]})})
        time_reference_models(one, folder / "results/latency")
    torch.use_deterministic_algorithms(False)
    return folder


def run(name, *arguments):
    runpy.run_path(str(ROOT / f"stages/{name}.py"))["main"](*arguments)


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_every_declared_output_is_there(folder):
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name in ("var_train", "var_eval", "var_ablate", "var_search"):
        for out in stages[name]["outs"]:
            path = next(iter(out)) if isinstance(out, dict) else out
            path = path.replace("${item.seed}", "0").replace("${item.recipe}", "plain")
            assert (folder / path).exists(), path


def test_timings_of_every_arm_and_workload_stand_apart(folder):
    record = read(folder, "results/latency/var_seed0.json")
    assert list(record["workloads"]) == [
        "prefill_1x32_threads1",
        "prefill_2x32_threads1",
        "decode_1_threads1",
    ]
    headline = record["workloads"][record["headline"]]
    assert record["headline"] == "prefill_2x32_threads1"
    assert set(headline["tokens_per_second"]) == {*ARMS, "var_conservative", "var_aggressive"}
    assert "tokens_per_second" not in json.dumps(read(folder, "results/var/seed0.json"))


def test_results_are_the_same_when_measured_again(folder, monkeypatch):
    names = ("results/var/seed0.json", "results/var_search.json", "data/scores/var/seed0.parquet")
    before = [(folder / name).read_bytes() for name in names]
    monkeypatch.chdir(folder)
    params = load_params()
    run("var_eval", params, 0)
    run("var_search", params)
    torch.use_deterministic_algorithms(False)
    assert [(folder / name).read_bytes() for name in names] == before


def test_the_front_is_chosen_on_validation_and_reported_on_test_once(folder):
    record = read(folder, "results/var_search.json")
    assert len(record["trials"]) == 4
    assert all("test" not in trial for trial in record["trials"])
    assert record["front"]
    for point in record["front"]:
        assert {"perplexity_change", "perplexity_change_ci95", "table_sha256"} <= set(point["test"])
    timed = read(folder, "results/latency/var_search.json")
    [workload] = timed["workloads"].values()
    assert {point["name"] for point in record["front"]} <= set(workload["speedups"])


def test_every_recipe_is_trained_from_the_same_start(folder):
    found = {recipe: read(folder, f"results/var_ablate/seed0/{recipe}.json") for recipe in RECIPES}
    assert len({each["perplexity_baseline"] for each in found.values()}) == len(RECIPES)
    tables = [pq.read_table(folder / f"data/scores/var_ablate/seed0/{recipe}.parquet") for recipe in RECIPES]
    assert len({str(table["tokens"].to_pylist()) for table in tables}) == 1
    for each in found.values():
        assert each["second_weight"] == pytest.approx(sum(each["second_weight_by_layer"]) / 2)
        assert 0 < each["second_weight"] < 0.5


def test_the_references_own_recipe_is_the_reference(folder):
    own = read(folder, "results/var_ablate/seed0/three_terms.json")
    whole = read(folder, "results/var/seed0.json")
    assert load_params(folder / "params.yaml").var.train.recipe == "three_terms"
    for name in ("perplexity_baseline", "perplexity_change", "table_sha256", "second_weight_by_layer"):
        assert own[name] == whole[name], name


@pytest.mark.parametrize("scale", [".", "full"])
def test_every_recipe_is_measured_at_both_scales(scale):
    assert tuple(load_params(ROOT / scale / "params.yaml").var.ablate.recipes) == RECIPES
