"""`results/model_card.md`: the `README.md` that a published guard goes with, in Hugging Face's format.

Every number is one of `results/metrics.json` or of the data card; the prose around them stands in
`model_card_template.md`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.runtime.policy import POLICIES
from tinyguardrail_common.acceptance import MET
from tinyguardrail_paper.analysis.efficiency import ARMS, QUANTILES
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.policies import SYSTEMS
from tinyguardrail_paper.analysis.suites import BENCHMARKS
from tinyguardrail_paper.analysis.summary import Summary
from tinyguardrail_paper.settings import paths
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.tables.acceptance import TARGETS, judge
from tinyguardrail_paper.tables.formatting import (
    BANNERS,
    MISSING,
    mean,
    number,
    readable,
    with_interval,
)
from tinyguardrail_paper.tables.policy_columns import NARROWER, by_policy
from tinyguardrail_paper.tables.table import Table, table_named

BASE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
UNDETERMINED = "und"  # of ISO 639: not a language of the card
TESTS = {  # of `results/metrics.json` -> what its rows are
    "plain": "untransformed test rows",
    "hard_negatives": "benign text that resembles attacks",
    "flipattack": "FlipAttack",
    "control_flipattack": "benign text put through FlipAttack",
    **{name: each.title for name, each in BENCHMARKS.items()},
}
METRICS = {  # ours -> as Hugging Face calls it
    "recall": "recall",
    "false_positive_rate": "false_positive_rate",
    "auc": "roc_auc",
    "accuracy": "accuracy",
    "macro_f1": "f1",
}

TEMPLATE = Path(__file__).with_name("model_card_template.md")


def model_card(
    results: Results, tables: Sequence[Table], data_card: dict[str, Any], params: Params
) -> ModelCard:
    """The card; of `tables` it takes those of the data and of the size."""
    english = data_card["by_language"].get("en", 0) / data_card["rows"]
    return ModelCard.from_template(
        card_data(results, data_card, params),
        template_path=TEMPLATE,
        markdown=markdown,
        banner=BANNERS[params.scale],
        intents=[readable(intent) for intent in INTENTS],
        parameters=mean(results.look_up(("guard", "size", "parameters"))),
        seed=paths.seed_name(params.seeds[0]),
        window=params.model.max_position_embeddings,
        counts=table_named(tables, "data"),
        sources=table_named(tables, "data_sources"),
        policies=[
            (name, " + ".join(policy.intents), number(params.policies.target(name), "percent"))
            for name, policy in POLICIES.items()
        ],
        evaluation=[
            (
                TESTS[test],
                readable(metric),
                with_interval(found),
                *by_policy(results, test, metric),
                f"{found.n:,}",
            )
            for test, metric, found in _measured(results)
        ],
        narrower=list(NARROWER),
        calibration=_calibration(results),
        missed=_missed(results),
        recall=mean(results.look_up(("guard", "plain", "recall"))),
        english=number(english, "percent"),
        size=table_named(tables, "size"),
        machine=results.hardware or {"cpu": MISSING, "threads": MISSING},
        quantiles=[quantile.removesuffix("_ms") for quantile in QUANTILES],
        latency=_latency(results),
    )


def card_data(results: Results, data_card: dict[str, Any], params: Params) -> ModelCardData:
    """What the hub reads."""
    return ModelCardData(
        license="apache-2.0",
        language=[language for language in data_card["by_language"] if language != UNDETERMINED],
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=BASE_MODEL,
        tags=["prompt-injection", "jailbreak", "guardrail"],
        metrics=list(METRICS.values()),
        model_name="TinyGuardrail",
        eval_results=[
            EvalResult(
                task_type="text-classification",
                task_name="prompt attack detection",
                dataset_type=test,
                dataset_name=TESTS[test],
                dataset_config=params.scale,
                dataset_split="test",
                metric_type=METRICS[metric],
                metric_name=readable(metric),
                metric_value=found.as_json()["mean"],
            )
            for test, metric, found in _measured(results)
        ],
    )


def _measured(results: Results) -> Iterator[tuple[str, str, Summary]]:
    """Test, metric and value of everything that the card reports."""
    guard = results.systems["guard"]
    for test in (test for test in TESTS if test in guard):
        for metric in (metric for metric in METRICS if metric in guard[test]):
            yield test, metric, guard[test][metric]


def _calibration(results: Results) -> list[tuple[str, ...]]:
    """One row per seed: its temperature, then the threshold of every policy."""
    found = [results.systems[system]["calibration"] for system in SYSTEMS.values()]
    temperature, thresholds = found[0]["temperature"], [each["block_threshold"].values for each in found]
    values = zip(temperature.seeds, temperature.values, *thresholds, strict=True)
    return [
        (str(seed), number(t, "factor"), *(number(each, "probability") for each in blocked))
        for seed, t, *blocked in values
    ]


def _missed(results: Results) -> list[dict[str, Any]]:
    """The targets of the guard that were not met; VAR's are about another model."""
    rows = [judge(target, results) for target in TARGETS.values() if target.beside[0] == "guard"]
    return [row for row in rows if row["verdict"] != MET]


def _latency(results: Results) -> list[tuple[str, ...]]:
    rows = []
    for arm in ARMS:
        prefix = "" if arm == "routed" else f"{arm}_"
        found = [results.look_up(("guard", "latency", f"{prefix}{quantile}")) for quantile in QUANTILES]
        rows.append((readable(arm), *(with_interval(each) for each in found)))
    return rows


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of GitHub's Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)
