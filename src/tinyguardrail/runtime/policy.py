"""What a guard blocks. A policy is a set of intents; it scores a text by the sum of their probabilities.

Each policy has a threshold of its own, fixed on benign validation texts for its own false-positive rate:
who guards a tool's outputs has other needs than who guards a public chat.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyguardrail.data.labels import INTENTS
from tinyguardrail_common.discovery import known
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.files import read_json

ANY = "any"
POLICIES_FILE = "policies.json"  # of a model folder: what `Calibration` holds


class PolicyError(UserError):
    """A policy that cannot be used as it is asked for."""


@dataclass(frozen=True)
class Policy:
    """A named set of intents, none of them benign."""

    name: str
    intents: tuple[str, ...]

    @property
    def classes(self) -> list[int]:
        """Indices of its intents into `INTENTS`."""
        return [INTENTS.index(intent) for intent in self.intents]

    def score(self, probabilities: np.ndarray) -> np.ndarray:
        """The probability of its intents together, (...), from (..., 4) in the order of `INTENTS`."""
        return probabilities[..., self.classes].sum(axis=-1)


POLICIES = {
    policy.name: policy
    for policy in (*(Policy(intent, (intent,)) for intent in INTENTS[1:]), Policy(ANY, INTENTS[1:]))
}


def policy_named(name: str) -> Policy:
    """The policy of that name; a `UserError` names the known ones."""
    return known(POLICIES, name, "policy")


class Calibration(NamedTuple):
    """What validation texts fixed for one model: a temperature, and a threshold by name of policy."""

    temperature: float
    thresholds: dict[str, float]


def read_policies(path: Path) -> Calibration:
    """`policies.json` of a model folder: `{"temperature": 1.2, "thresholds": {"injection": 0.4, ...}}`.

    Raises:
        PolicyError: it is not such a file, names an unknown policy or lacks a known one.
    """
    try:
        content = read_json(path)
    except ValueError as error:  # of JSON and of UTF-8
        raise PolicyError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, dict) or set(content) != set(Calibration._fields):
        raise PolicyError(f"{path}: must hold {' and '.join(Calibration._fields)}, and nothing else")
    temperature, thresholds = content["temperature"], content["thresholds"]
    if not _is_number(temperature) or temperature <= 0:
        raise PolicyError(f"{path}: temperature is {temperature!r}, expected a number above 0")
    check_thresholds(thresholds, str(path))
    for name in POLICIES:
        require_threshold(thresholds, name, str(path))
    return Calibration(float(temperature), {name: float(thresholds[name]) for name in POLICIES})


def check_thresholds(thresholds: Mapping[str, float], where: str) -> None:
    """Every name is a policy's and every value a threshold.

    Raises:
        PolicyError: one is not; `where` is what the message calls the thresholds.
    """
    if not isinstance(thresholds, Mapping):
        raise PolicyError(f"{where}: thresholds are {thresholds!r}, expected one by name of policy")
    for name, threshold in thresholds.items():
        if name not in POLICIES:
            raise PolicyError(f"{where}: unknown policy {name!r}; known: {', '.join(POLICIES)}")
        if not _is_number(threshold) or threshold < 0:
            raise PolicyError(f"{where}: threshold of policy {name} is {threshold!r}, expected 0 or more")


def require_threshold(thresholds: Mapping[str, float], name: str, where: str) -> float:
    """The threshold of the policy of that name.

    Raises:
        PolicyError: there is none.
    """
    if name not in thresholds:
        has = ", ".join(thresholds) or "none"
        raise PolicyError(f"{where}: no threshold for policy {name}; add it to those of: {has}")
    return thresholds[name]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and np.isfinite(value)
