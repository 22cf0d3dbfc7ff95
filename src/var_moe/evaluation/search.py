"""Phase 3 of VAR: which settings trade perplexity against work best.

Two goals are minimized at once: the change in perplexity on validation text, and a cost that
needs no clock, so that the search gives the same points on every run: experts per call plus
the share of calls left to the router. A learned call is priced like one expert, far above its
time, because it cannot be replayed from the table; throughput of the points found is measured
after the search. The sampler is Optuna's multi-objective tree-structured Parzen estimator
(arXiv 2011.10839), seeded, and starts from the three presets.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from torch import Tensor

from tinyguardrail_common.errors import UserError
from var_moe.evaluation.arms import STOCK_EAGER
from var_moe.evaluation.quality import build_wrappers, losses_of, preset_quality
from var_moe.params import VarEval
from var_moe.reference.corpus import Stream
from var_moe.routing.config import PRESETS, VARConfig, get_config
from var_moe.routing.statistics import RoutingStatistics

SEARCHED = ("learned_share", "single_share", "two_expert_layers", "min_count", "smoothing", "use_context")


@dataclass(frozen=True)
class Point:
    """One configuration and where it lies."""

    config: VARConfig
    perplexity_change: float
    learned_share: float
    experts_per_call: float

    @property
    def cost(self) -> float:
        return self.experts_per_call + self.learned_share

    def as_json(self) -> dict[str, Any]:
        settings = {name: getattr(self.config, name) for name in SEARCHED}
        return {
            "name": self.config.preset,
            **settings,
            "perplexity_change": self.perplexity_change,
            "learned_share": self.learned_share,
            "experts_per_call": self.experts_per_call,
            "cost": self.cost,
        }


def front_configs(record: dict[str, Any]) -> list[VARConfig]:
    """The configurations of the front in `results/var_search.json`, as `Point.as_json` wrote them there."""
    return [
        VARConfig.from_json(json.dumps({"preset": point["name"]} | {name: point[name] for name in SEARCHED}))
        for point in record["front"]
    ]


class Objective:
    """Measures configurations of one model's table on one text.

    Args:
        text: of validation, that neither statistics nor thresholds come from.
    """

    def __init__(
        self, model: Any, statistics: RoutingStatistics, held_out: Tensor, text: Stream, settings: VarEval
    ) -> None:
        self.model, self.statistics, self.held_out = model, statistics, held_out
        self.text, self.settings = text, settings
        wrapper = self._wrapper(get_config("balanced"))
        self.baseline = losses_of(wrapper, STOCK_EAGER, text, settings)

    def measure(self, config: VARConfig) -> Point:
        found = preset_quality(self._wrapper(config), self.text, self.settings, skip=False)
        nats = (found.var.nll - self.baseline.nll).sum() / self.baseline.tokens.sum()
        shares = found.stats["learned_share"], found.stats["experts_per_call"]
        return Point(config, float(np.expm1(nats)), *shares)

    def __call__(self, trial: optuna.Trial) -> tuple[float, float]:
        first_layer = trial.suggest_categorical("two_experts_first", [True, False])
        settings = {
            "two_expert_layers": (0,) if first_layer else (),
            "learned_share": trial.suggest_float("learned_share", 0.0, 0.3),
            "single_share": trial.suggest_float("single_share", 0.0, 1.0),
            "min_count": trial.suggest_int("min_count", 1, 6),
            "smoothing": trial.suggest_float("smoothing", 0.25, 16.0, log=True),
            "use_context": trial.suggest_categorical("use_context", [True, False]),
        }
        name = trial.user_attrs.get("preset", f"trial_{trial.number}")
        point = self.measure(VARConfig(preset=name, **settings))
        trial.set_user_attr("point", point)
        return point.perplexity_change, point.cost

    def _wrapper(self, config: VARConfig) -> Any:
        return build_wrappers(self.model, self.statistics, self.held_out, [config])[config.preset]


def search(objective: Any, trials: int, seed: int) -> list[Point]:
    """Every point tried, in order; the first ones are the presets'.

    Args:
        objective: called with a trial; returns both goals and leaves the `Point` with the trial.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=False)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for preset in PRESETS:
        config = get_config(preset)
        settings = {name: getattr(config, name) for name in SEARCHED}
        settings["two_experts_first"] = bool(settings.pop("two_expert_layers"))
        study.enqueue_trial(settings, user_attrs={"preset": preset})
    study.optimize(objective, n_trials=trials)
    return [trial.user_attrs["point"] for trial in study.trials]


def pareto_front(goals: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the pairs that no other pair is at least as good as in both goals, lower being better.

    Sorted by the second goal; of equal pairs the first is kept.

    Raises:
        UserError: there is no pair.
    """
    if not goals:
        raise UserError("no trial to take a front from: raise var.search.trials")
    order = sorted(range(len(goals)), key=lambda index: (goals[index][1], goals[index][0], index))
    front, best = [], float("inf")
    for index in order:
        if goals[index][0] < best:
            front.append(index)
            best = goals[index][0]
    return front
