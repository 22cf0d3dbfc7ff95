"""Made-up outputs of the earlier stages, in their formats, for tests of what follows them.

The numbers mean nothing: they are drawn so that threats score higher than benign text,
the deep branch does a little better than the fast one, and flipped text is harder.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tinyguardrail.evaluation.ablation_arms import CHANGES
from tinyguardrail.files import write_json
from var_moe.ablation import ABLATION_ARMS

LABELS = ("benign", "direct_injection", "jailbreak", "obfuscation")
BENIGN_FAMILIES = (
    "everyday",
    "trigger_words_common",
    "trigger_words_technical",
    "trigger_words_multilingual",
    "borderline_safety",
    "about_injection",
    "technical_documentation",
    "email",
)
THREAT_FAMILIES = {
    "direct_injection": ("email", "web_page", "override"),
    "jailbreak": ("plain_request", "persona"),
}
TRANSFORMS = {
    "flipattack": ("flipattack_fwo", "flipattack_fcw", "flipattack_fcs", "flipattack_fmm"),
    "codechameleon": ("codechameleon_reverse", "codechameleon_length"),
    "encoding": ("encoding_base64", "encoding_hex", "encoding_url"),
    "homoglyph": ("homoglyph",),
    "character_injection": ("character_injection_zero_width", "character_injection_bidi"),
    "typoglycemia": ("typoglycemia",),
}
# (source, family, label, rows): public test rows as the loaders and the synthesis write them.
PUBLIC_ROWS = (
    ("notinject", "notinject_one_common", "benign", 30),
    ("notinject", "notinject_two_multilingual", "benign", 10),
    ("notinject", "notinject_one_common_in_piguard_validation", "benign", 8),
    ("wildguard_benign", "wildguard_benign", "benign", 40),
    ("bipia", "bipia_email", "direct_injection", 20),
    ("bipia", "bipia_table", "direct_injection", 12),
    ("bipia", "bipia_email_clean", "benign", 10),
    ("bipia", "bipia_email_question", "benign", 10),
    ("bipia", "bipia_table_clean", "benign", 6),
    ("bipia", "composed_indirect", "benign", 5),
    ("toxic_chat", "chat", "benign", 110),
    ("toxic_chat", "toxic", "benign", 20),
    ("toxic_chat", "in_chat_jailbreak", "jailbreak", 15),
    ("deepset", "question", "benign", 20),
    ("deepset", "injection", "direct_injection", 18),
    ("deepset", "composed_indirect", "direct_injection", 7),
    ("jbb_artifacts", "pair", "jailbreak", 12),
    ("jbb_artifacts", "gcg", "jailbreak", 20),
    ("jbb_artifacts", "jbc", "jailbreak", 20),
    ("jbb_artifacts", "dsn", "jailbreak", 10),
    ("jbb_artifacts", "random_search", "jailbreak", 20),
    ("jbb_behaviors", "plain_request", "jailbreak", 20),
    ("jbb_behaviors", "jbb_benign", "benign", 20),
    ("advbench", "plain_request", "jailbreak", 40),
    ("strongreject", "plain_request", "jailbreak", 25),
    ("malicious_instruct", "plain_request", "jailbreak", 15),
    ("harmbench", "plain_request", "jailbreak", 9),
)


def make_rows(count: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Row columns; roughly half of the rows are transformed variants of the others' parents."""
    rows = []
    for parent in range(max(1, count // 2)):
        split = "validation" if generator.random() < 0.35 else "test"
        threat = generator.random() < 0.45
        label = str(generator.choice(list(THREAT_FAMILIES))) if threat else "benign"
        family = str(generator.choice(THREAT_FAMILIES[label] if threat else BENIGN_FAMILIES))
        plain = {"label": label, "family": family, "transform": "none"}
        attack = str(generator.choice(list(TRANSFORMS)))
        variant = {
            "label": "obfuscation" if threat else "benign",
            "family": attack,
            "transform": str(generator.choice(TRANSFORMS[attack])),
        }
        for each in (plain, variant):
            rows.append(
                {"row": len(rows), "split": split, **each}
                | {"source": "authored", "parent_id": f"parent-{parent}", "language": "en"}
                | {"tokens": int(generator.integers(6, 90))}
                | {"found_family": each["family"] if each is variant and generator.random() < 0.8 else "none"}
            )
    return rows


def make_public_rows(start: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Rows of `PUBLIC_ROWS`, numbered from `start`, and disguises of AdvBench and of NotInject."""
    rows = []
    for source, family, label, count in PUBLIC_ROWS:
        for number in range(count):
            rows.append({"family": family, "label": label, "transform": "none", "source": source})
            rows[-1]["parent_id"] = f"{source}/{family}/{number}"
    for family, variants in TRANSFORMS.items():
        for number in range(12):
            disguise = {"family": family, "transform": variants[number % len(variants)]}
            for source, label in (("advbench", "obfuscation"), ("notinject", "benign")):
                of = "plain_request" if source == "advbench" else "notinject_one_common"
                rows.append({**disguise, "label": label, "source": source})
                rows[-1]["parent_id"] = f"{source}/{of}/{number}"
    return [
        {"row": start + index, "split": "test", **row, "language": "en"}
        | {"tokens": int(generator.integers(6, 90)), "found_family": "none"}
        for index, row in enumerate(rows)
    ]


def make_scores(rows: list[dict[str, Any]], seed: int) -> pa.Table:
    """The score table of one seed."""
    generator = np.random.default_rng(1000 + seed)
    label = np.array([LABELS.index(row["label"]) for row in rows])
    hidden = np.array([row["transform"] != "none" for row in rows])
    tricky = np.array([row["family"] in BENIGN_FAMILIES[1:7] for row in rows])
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    for branch, skill in (("fast", 2.2), ("deep", 3.0)):
        logits = generator.normal(size=(len(rows), 4))
        logits[np.arange(len(rows)), label] += skill * np.where(hidden, 0.6, 1.0)
        logits[:, 3] += 0.8 * hidden
        logits[:, 1] += 0.7 * tricky
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for index, name in enumerate(LABELS):
            columns[f"{branch}_{name}"] = probabilities[:, index].astype(np.float32)
    router = 1 / (1 + np.exp(-generator.normal(-0.9 + 0.9 * hidden, 1.0)))
    columns["router_score"] = router.astype(np.float32)
    return pa.table(columns)


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
        _write_table(folder / f"data/scores/guard/{name}.parquet", make_scores(shared, seed))
        _write_training(folder / f"results/training/{name}.csv", generator)
        write_json(folder / f"results/export/{name}.json", _export())
        _write_evasion(folder, seed, shared, generator)
        _write_var(folder, seed, generator, timings)
        if timings:
            write_json(folder / f"results/latency/guard_{name}.json", _guard_timing(seed, generator))
    _write_search(folder, timings)
    write_json(folder / "results/var_ablate/seed0.json", _ablation(0))  # of the seed in params.yaml
    _write_leave_one_out(folder / "data/scores/leave_one_out", np.random.default_rng(7))
    _write_ablation(folder / "data/scores/ablation/seed0", shared[:1200])  # of the seed in params.yaml
    write_json(folder / "results/data_card.json", _data_card(shared))


def _write_ablation(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Scores of every arm: without a router loss by chance, with an energy those of the reference."""
    for number, arm in enumerate(CHANGES):
        table = make_scores(rows, 300 if arm == "energy_loss" else 300 + number)
        if arm == "no_router_loss":
            names = [name for name in table.column_names if name.startswith(("fast_", "deep_"))]
            turned = {name: table[name].to_numpy()[::-1] for name in names}
            table = pa.table({name: turned.get(name, table[name]) for name in table.column_names})
        labels = [row["label"] for row in rows]
        rounded = ["benign" if place % 50 == 0 else label for place, label in enumerate(labels)]
        table = table.append_column("fp32_label", pa.array(labels))
        _write_table(folder / f"{arm}.parquet", table.append_column("int8_label", pa.array(rounded)))


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
    for left_out in ("none", *families):
        own = [row for row in rows if row["split"] == "validation" or left_out in (row["family"], "none")]
        table = pa.Table.from_pylist(own)
        threat = np.array([row["label"] != "benign" for row in own])
        unseen = np.array([row["family"] == left_out for row in own])
        for reading, lost in (("canonicalised", 0.3), ("raw", 2.5)):
            logits = generator.normal(size=len(own)) + threat * (2.5 - lost * unseen)
            table = table.append_column(f"threat_{reading}", pa.array(1 / (1 + np.exp(-logits))))
        _write_table(folder / f"{left_out}.parquet", table)


def _write_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


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
    precision = {"size_mb": 279.5, "max_abs_difference": 0.00002, "label_agreement": 1.0}
    small = {"size_mb": 71.2, "max_abs_difference": 0.31, "label_agreement": 0.984}
    against = {"rows": 400, "macro_f1_fp32": 0.71, "macro_f1_int8": 0.708}
    against |= {"label_agreement": 0.98, "verdict_agreement": 0.9925, "blocking_threshold": 0.31}
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
    _write_table(folder / f"data/scores/evasion/seed{seed}.parquet", pa.table(columns))
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


PRESET_FIGURES = {  # of the synthetic presets: change in nats per token, experts per call
    "conservative": (0.001, 1.7),
    "balanced": (0.003, 1.3),
    "aggressive": (0.006, 1.25),
}


def _write_var(folder: Path, seed: int, generator: np.random.Generator, timings: bool) -> None:
    tokens = np.full(120, 255)
    baseline = tokens * generator.normal(4.1, 0.25, size=120)
    columns = {"group": np.arange(120), "tokens": tokens, "nll_baseline": baseline}
    presets = {}
    for preset, (nats, experts) in PRESET_FIGURES.items():
        record = {"learned_share": 0.11, "cached_share": 0.62, "fast_share": 0.27}
        record |= {"experts_per_call": experts, "skip_experts_per_call": experts + 0.02, "layers": []}
        for arm, prefix in (("var", ""), ("skip", "skip_")):
            changed = baseline + tokens * generator.normal(nats, 0.01, size=120)
            columns[f"nll_{arm}_{preset}"] = changed
            change = float(np.exp((changed - baseline).sum() / tokens.sum()) - 1)
            record[f"perplexity_{arm}"] = float(np.exp(changed.sum() / tokens.sum()))
            record[f"{prefix}perplexity_change"] = change
            record[f"{prefix}perplexity_change_ci95"] = [change - 0.002, change + 0.002]
        presets[preset] = record
    _write_table(folder / f"data/scores/var/seed{seed}.parquet", pa.table(columns))
    report = {"corpus": "docstrings", "preset": "balanced", "seed": seed, "tokens": int(tokens.sum())}
    report |= {"groups": 120, "perplexity_baseline": float(np.exp(baseline.sum() / tokens.sum()))}
    report |= presets["balanced"] | {"presets": presets}
    write_json(folder / f"results/var/seed{seed}.json", report)
    if timings:
        write_json(folder / f"results/latency/var_seed{seed}.json", _var_timing(seed))


def _var_timing(seed: int) -> dict[str, Any]:
    def against(factor: float) -> dict[str, Any]:
        both = {"vs_best_stock": factor, "vs_own_kernel": factor - 0.08}
        return {name: {"median": value, "ci95": [value - 0.03, value + 0.02]} for name, value in both.items()}

    names = ("stock_eager", "stock_grouped_mm", "own_kernel_var_off", "router_ratio_skip", "var")
    speeds = {name: [16000.0, 16100.0] for name in (*names, "var_conservative", "var_aggressive")}
    factors = {"var": 1.28 + 0.01 * seed, "router_ratio_skip": 1.27, "var_conservative": 1.1}
    factors |= {"var_aggressive": 1.4}
    workloads = {}
    for name in ("prefill_8x256_threads1", "decode_1_threads1"):
        first = name.startswith("prefill")
        shown = {arm: value for arm, value in factors.items() if first or not arm.startswith("var_")}
        workloads[name] = {
            "kind": "prefill" if first else "decode",
            "batch": 8 if first else 1,
            "threads": 1,
            "tokens_per_second": speeds,
            "best_stock": "stock_grouped_mm",
            "speedups": {arm: against(value) for arm, value in shown.items()},
        }
    return {"preset": "balanced", "headline": "prefill_8x256_threads1", "workloads": workloads}


def _ablation(seed: int) -> dict[str, Any]:
    arms = {}
    for number, arm in enumerate(ABLATION_ARMS):
        off = 0.001 * number
        arms[arm] = {"perplexity_off": 230.0 * (1 + off), "off_against_plain": off}
        arms[arm] |= {
            "off_against_plain_ci95": [off - 0.001, off + 0.001],
            "router_stays_valid": off <= 0.003,
        }
        arms[arm] |= {
            "perplexity_change": 0.02 - 0.004 * number,
            "learned_share": 0.1,
            "experts_per_call": 1.3,
        }
        arms[arm] |= {"perplexity_change_ci95": [0.019 - 0.004 * number, 0.021 - 0.004 * number]}
    return {"seed": seed, "preset": "balanced", "arms": arms}


def _write_search(folder: Path, timings: bool) -> None:
    """Three points of which two lie on the front."""
    trials = []
    for name, change, experts in (("balanced", 0.003, 1.3), ("trial_1", 0.001, 1.6), ("trial_2", 0.004, 1.7)):
        point = {"name": name, "learned_share": 0.1, "perplexity_change": change}
        trials.append(point | {"experts_per_call": experts, "cost": experts + 0.1})
    front = []
    for point in trials[:2]:
        change = point["perplexity_change"] + 0.0005
        test = {"perplexity_change": change, "perplexity_change_ci95": [change - 0.001, change + 0.001]}
        front.append(point | {"test": test})
    search = {"corpus": "docstrings", "seed": 0, "trials": trials, "front": front}
    write_json(folder / "results/var_search.json", search)
    if timings:
        timed = {name: {"vs_best_stock": {"median": 1.3, "ci95": None}} for name in ("balanced", "trial_1")}
        record = {"headline": "a", "workloads": {"a": {"speedups": timed}}}
        write_json(folder / "results/latency/var_search.json", record)


def _data_card(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def count(name: str) -> dict[str, int]:
        values = [row[name] for row in rows]
        return {value: values.count(value) for value in sorted(set(values))}

    by = {f"by_{name}": count(name) for name in ("split", "label", "family", "source", "language")}
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
