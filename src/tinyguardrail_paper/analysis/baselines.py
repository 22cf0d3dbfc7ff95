"""The baselines as rivals: thresholds are fixed on their own validation scores, as the guard's are."""

from collections.abc import Sequence

import numpy as np

from tinyguardrail_paper.analysis.policies import decide_by_policy
from tinyguardrail_paper.analysis.rivals import BASELINE, Rival
from tinyguardrail_paper.analysis.scores import Scores, probabilities
from tinyguardrail_paper.analysis.suites import Metrics
from tinyguardrail_paper.analysis.summary import over_seeds
from tinyguardrail_paper.scores.inputs import InputError, read_seeds_json
from tinyguardrail_paper.scores.score_table import BASELINE_ROWS, baselines_table, check_rows
from tinyguardrail_paper.settings import paths
from tinyguardrail_paper.settings.params import Params

FP32_BYTES = 4  # of a parameter


def baseline_system(name: str) -> str:
    """A baseline in `results/metrics.json`, under the policy `any`."""
    return f"{BASELINE}{name}"


def read_baselines(scores: Scores, params: Params) -> list[Rival]:
    """Every baseline of the parameters, beside the guard's scores.

    Raises:
        InputError: as in `ScoreTable.read_same_rows`, or these are other rows than the guard's.
    """
    table, names = baselines_table(params.baselines.names), params.baselines.names
    files = table.of_seeds(params.seeds)
    tables = table.read_same_rows(files)
    places = tables[0]["row"]
    check_rows(files[0], tables[0], scores.rows, BASELINE_ROWS, "dvc repro baselines")
    own = scores.take(places)
    rivals = []
    for name in names:
        answered = own.answered(np.stack([probabilities(each, name) for each in tables]), params.seeds)
        rivals.append(
            Rival(baseline_system(name), places, decide_by_policy(answered, params), calibrated=True)
        )
    return rivals


def baseline_sizes(names: Sequence[str], seeds: Sequence[int]) -> dict[str, Metrics]:
    """Parameters of each baseline and megabytes of them in fp32, by system.

    Raises:
        InputError: a file is missing or lacks a baseline.
    """
    reports = [each["parameters"] for each in read_seeds_json(paths.BASELINES, seeds, "baselines")]
    if missing := [name for name in names if any(name not in each for each in reports)]:
        raise InputError(
            f"{paths.BASELINES}: no parameters of {missing[0]}; run: dvc repro --force baselines"
        )
    found = {}
    for name in names:
        counts = np.array([each[name] for each in reports])
        size = {
            "parameters": over_seeds(counts, 1, seeds, "millions"),
            "fp32_size_mb": over_seeds(FP32_BYTES * counts / 1e6, 1, seeds, "megabytes"),
        }
        found[baseline_system(name)] = {"size": size}
    return found
