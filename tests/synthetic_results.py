"""Made-up outputs of the earlier stages, in their formats, for tests of what follows them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthetic_scores import INTENTS, TRANSFORMS, make_public_rows, make_rows, make_scores, write_table
from synthetic_var import write_var, write_var_ablation, write_var_search
from tinyguardrail_common.files import write_json
from tinyguardrail_paper.scores.score_table import RECORD
from tinyguardrail_paper.settings.params import load_params

ARMS = load_params(Path(__file__).parents[1] / "params.yaml").ablate.arms
BASELINES = load_params(Path(__file__).parents[1] / "params.yaml").baselines.names
PEER = "prompt_guardrail"  # of those in params.yaml, the one that was measured
VAR_SEEDS = (0, 1, 2)  # those in params.yaml


def write_results(
    folder: Path,
    seeds: tuple[int, ...] = (0, 1, 2),
    rows: int = 3000,
    timings: bool = True,
    public: bool = False,
) -> None:
    """Write every input of the `figures` stage below `folder`; `public` adds rows of the full scale."""
    shared = make_rows(rows, np.random.default_rng(5))
    if public:
        shared += make_public_rows(len(shared), np.random.default_rng(6))
    for seed in seeds:
        generator = np.random.default_rng(50 + seed)
        name = f"seed{seed}"
        write_table(folder / f"data/scores/guard/{name}.parquet", make_scores(shared, seed))
        _write_training(folder / f"results/training/{name}.csv", generator)
        write_json(folder / f"results/export/{name}.json", _export())
        _write_evasion(folder, seed, shared, generator)
        if timings:
            write_json(folder / f"results/latency/guard_{name}.json", _guard_timing(seed, generator))
        _write_baselines(folder, seed, shared)
    _write_peer(folder / f"data/scores/peers/{PEER}.parquet", shared)
    for seed in VAR_SEEDS:
        write_var(folder, seed, np.random.default_rng(60 + seed), timings)
    write_var_search(folder, timings)
    write_var_ablation(folder, 0)  # of the seed in params.yaml
    _write_leave_one_out(folder / "data/scores/leave_one_out", np.random.default_rng(7))
    _write_ablation(folder / "data/scores/ablation/seed0", shared[:1200])  # of the seed in params.yaml
    write_json(folder / "results/data_card.json", _data_card(shared))


def _write_baselines(folder: Path, seed: int, rows: list[dict[str, Any]]) -> None:
    """Scores of every baseline: those of a guard's fast branch of another seed."""
    columns = {name: [row[name] for row in rows] for name in ("row", "split", "intent", "parent_id")}
    for number, baseline in enumerate(BASELINES):
        table = make_scores(rows, 400 + 10 * number + seed)
        columns |= {f"{baseline}_{intent}": table[f"fast_{intent}"] for intent in INTENTS}
    write_table(folder / f"data/scores/baselines/seed{seed}.parquet", pa.table(columns))
    parameters = {name: 22_566_916 for name in BASELINES}
    write_json(folder / f"results/baselines/seed{seed}.json", {"parameters": parameters})


def _write_peer(path: Path, rows: list[dict[str, Any]]) -> None:
    """Scores of every third row, by a guard that blocks at one half."""
    table = make_scores(rows, 500).take(list(range(0, len(rows), 3)))
    threat = 1 - table["fast_benign"].to_numpy()
    kept = table.select(["row", *RECORD])
    kept = kept.append_column("score", pa.array(threat))
    write_table(path, kept.append_column("blocked", pa.array(threat >= 0.5)))


def _write_ablation(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Scores of every arm: without a router loss by chance, with an energy those of the reference."""
    for number, arm in enumerate(ARMS):
        table = make_scores(rows, 300 if arm == "energy_loss" else 300 + number)
        if arm == "no_router_loss":
            names = [name for name in table.column_names if name.startswith(("fast_", "deep_"))]
            turned = {name: table[name].to_numpy()[::-1] for name in names}
            table = pa.table({name: turned.get(name, table[name]) for name in table.column_names})
        intents = [row["intent"] for row in rows]
        rounded = ["benign" if place % 50 == 0 else intent for place, intent in enumerate(intents)]
        table = table.append_column("fp32_intent", pa.array(intents))
        write_table(folder / f"{arm}.parquet", table.append_column("int8_intent", pa.array(rounded)))


def _write_leave_one_out(folder: Path, generator: np.random.Generator, count: int = 30) -> None:
    """Scores of the reference and of a guard per family, which raw threats of that family slip past."""
    families = (*TRANSFORMS, "composition")
    validation = [("validation", "plain", number % 2 == 0, number) for number in range(120)]
    test = [("test", name, side == 0, n) for name in families for n in range(count) for side in (0, 1)]
    rows = [
        {"row": row, "split": split, "label": "benign" if benign else "obfuscation", "family": family}
        | {"transform": family, "parent_id": f"{split}-{benign}-{number}"}
        for row, (split, family, benign, number) in enumerate(validation + test)
    ]
    for held_out in ("none", *families):
        own = [row for row in rows if row["split"] == "validation" or held_out in (row["family"], "none")]
        table = pa.Table.from_pylist(own)
        threat = np.array([row["label"] != "benign" for row in own])
        unseen = np.array([row["family"] == held_out for row in own])
        for reading, lost in (("normalized", 0.3), ("raw", 2.5)):
            logits = generator.normal(size=len(own)) + threat * (2.5 - lost * unseen)
            table = table.append_column(f"threat_{reading}", pa.array(1 / (1 + np.exp(-logits))))
        write_table(folder / f"{held_out}.parquet", table)


def _write_training(path: Path, generator: np.random.Generator, steps: int = 300) -> None:
    parts = ("loss_fast", "loss_deep", "loss_router", "loss_ratio", "loss_balance")
    validation = ("deep_share", "router_mean", "router_std", "macro_f1")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["step", "epoch", "loss", *parts, "learning_rate", *(f"validation_{n}" for n in validation)]
        )
        for step in range(1, steps + 1):
            losses = np.exp(-step / 80) * np.array([0.5, 0.45, 0.1, 0.02, 0.02]) + generator.random(5) * 0.05
            ended = step % (steps // 2) == 0
            tail = [0.3, 0.4, 0.2, 0.6 + step / 1000] if ended else ["", "", "", ""]
            writer.writerow([step, (step - 1) * 2 // steps, losses.sum(), *losses, 1e-4, *tail])


def _export() -> dict[str, Any]:
    precision = {"size_mb": 279.5, "max_abs_difference": 0.00002, "intent_agreement": 1.0}
    small = {"size_mb": 71.2, "max_abs_difference": 0.31, "intent_agreement": 0.984}
    against = {"rows": 400, "macro_f1_fp32": 0.71, "macro_f1_int8": 0.708}
    against |= {"intent_agreement": 0.98, "verdict_agreement": 0.9925, "blocking_threshold": 0.31}
    return {
        "parameters": 69_800_000,
        "precisions": {"fp32": precision, "int8": small},
        "validation_rows": 64,
        "int8_against_fp32": against,
    }


def _write_evasion(
    folder: Path, seed: int, rows: list[dict[str, Any]], generator: np.random.Generator, count: int = 40
) -> None:
    """Attacks before and after: half of those that go deep are taken to the fast branch."""
    plain = [row for row in rows if row["split"] == "test" and row["transform"] == "none"]
    chosen = [row for row in plain if row["label"] != "benign"][:count]
    before = make_scores(chosen, 100 + seed).to_pydict()
    after = make_scores(chosen, 200 + seed).to_pydict()
    deep = np.array(before["router_score"]) >= 0.5
    evaded = deep & (generator.random(len(chosen)) < 0.5)
    columns: dict[str, list[Any]] = {}
    for when in ("before", "after"):
        changed = evaded & (when == "after")
        scores = {name: np.where(changed, after[name], before[name]) for name in before}
        scores["router_score"] = np.where(changed, 0.2, before["router_score"])
        names = [name for name in scores if name.startswith(("fast_", "deep_"))]
        for name in ("row", "label", "router_score", *names):
            columns.setdefault(name, []).extend(scores[name].tolist())
        columns.setdefault("when", []).extend([when] * len(chosen))
        columns.setdefault("variant", []).extend(np.where(changed, "prefix_0", "none").tolist())
        columns.setdefault("deep", []).extend((scores["router_score"] >= 0.5).tolist())
    write_table(folder / f"data/scores/evasion/seed{seed}.parquet", pa.table(columns))
    report = {"seed": seed, "precision": "int8", "router_threshold": 0.5, "texts": len(chosen)}
    report |= {"candidates": 12, "attacked": int(deep.sum()), "evaded": int(evaded.sum())}
    report |= {"deep_share_before": float(deep.mean()), "deep_share_after": float((deep & ~evaded).mean())}
    queries = len(chosen) + 24 * int(deep.sum())
    write_json(folder / f"results/evasion/seed{seed}.json", report | {"queries": queries})


def _guard_timing(seed: int, generator: np.random.Generator) -> dict[str, Any]:
    def arm(base: float) -> dict[str, float]:
        p50 = base + float(generator.random())
        return {"p50_ms": p50, "p95_ms": 1.8 * p50, "p99_ms": 2.2 * p50, "mean_ms": 1.1 * p50}

    return {
        "seed": seed,
        "threads": 2,
        "rows": 200,
        "hardware": {"cpu": "an example CPU", "cores": 2},
        "tokens_p50": 31.0,
        "arms": {"routed": arm(6), "always_fast": arm(4), "always_deep": arm(9)},
    }


def _data_card(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def count(name: str) -> dict[str, int]:
        values = [row[name] for row in rows]
        return {value: values.count(value) for value in sorted(set(values))}

    by = {f"by_{name}": count(name) for name in ("split", "intent", "label", "family", "source", "language")}
    languages = {"en": {"benign": 3, "jailbreak": 2}, "de": {"benign": 1, "obfuscation": 4}}
    controls = {"length_auc": 0.61, "language_auc": 0.53, "source_auc": 0.9, "bag_of_characters_auc": 0.74}
    source = {
        "title": "Authored corpus",
        "licence": "Apache-2.0",
        "rows_fetched": len(rows),
        "rows_dropped": {"no_text": 2, "too_long": 1},
    }
    corpus = {
        "texts": 40,
        "languages": 2,
        "kinds": 5,
        "words": 900,
        "distinct_words": 300,
        "distinct_2_grams": 0.8,
        "distinct_3_grams": 0.9,
        "nearest_over_0.5": 0.0,
        "most_common_opening_share": 0.01,
        "effective_topics": 31.5,
        "characters": {"p5": 10, "p50": 60, "p95": 300},
    }
    return {
        "rows": len(rows),
        **by,
        "by_source_and_split": {"authored": count("split")},
        "by_language_and_label": languages,
        "removed": {"near a test row": {"authored": {"authored": 12}}},
        "duplicates_removed": 12,
        "shortcuts": {"all": controls, "untransformed": controls},
        "authored_corpus": corpus,
        "sources": {"authored": source},
        "not_used": {"pint": "not asked for"},
    }
