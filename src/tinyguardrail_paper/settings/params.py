"""`params.yaml` as strict, typed models.

Every stage reads its settings through `load_params`. An unknown key, a wrong type or a
value out of range raises `ParamsError`, whose one-line message names the file, the key,
the value found and what is allowed. YAML 1.2 rules apply, so that `1e-05`, which
`dvc exp run -S train.learning_rate=0.00001` writes, is a number.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.params import Data
from tinyguardrail.export.params import Export
from tinyguardrail.model.params import Model
from tinyguardrail.quantization.params import Quantize
from tinyguardrail.runtime.policy import POLICIES
from tinyguardrail.synthesis.params import Attacks, Compositions, HardNegatives
from tinyguardrail.training.params import Train
from tinyguardrail_common.errors import UserError
from tinyguardrail_common.param_types import Count, CountOrZero, Fraction, OpenFraction, Seeds, Strict
from tinyguardrail_paper.settings.baselines import Baselines
from tinyguardrail_paper.settings.paths import PARAMS_FILE
from tinyguardrail_paper.settings.peers import Peers
from var_moe.params import Var

REFERENCE = "none"  # what the reference guard of `leave_one_out` is trained without
MOST_CANDIDATES = 12  # harmless texts that `experiments/evasion_search.py` has


class ParamsError(UserError):
    """A setting that cannot be used; the message is one line."""


def _known_families(names: list[str]) -> list[str]:
    """`none`, which is the reference, first, then families of attacks."""
    unknown = [name for name in names[1:] if name not in FAMILIES]
    if names[0] != REFERENCE or unknown or len(set(names)) < len(names):
        known = ", ".join(FAMILIES)
        raise ValueError(f"must be {REFERENCE} and then different ones of {known}; found {', '.join(names)}")
    return names


class Compute(Strict):
    threads: Annotated[int, Field(ge=1, le=256)]


class Benchmark(Strict):
    batch_size: Count


class Evasion(Strict):
    texts: Count
    candidates: Annotated[int, Field(ge=1, le=MOST_CANDIDATES)]


class LeaveOneOut(Strict):
    families: Annotated[list[str], Field(min_length=2), AfterValidator(_known_families)]
    seed: CountOrZero
    rows: Count
    validation_rows: Count
    test_rows: Count


class Ablate(Strict):
    arms: dict[str, dict[str, Any]]  # name -> the one setting of `train` that it changes
    seeds: Seeds
    rows: Count
    validation_rows: Count
    test_rows: Count

    @property
    def reference(self) -> str:
        """The arm that changes nothing."""
        return next(iter(self.arms))


class Latency(Strict):
    rows: Count
    threads: Annotated[int, Field(ge=1, le=256)]
    warmup: CountOrZero


class Router(Strict):
    threshold: Fraction


class PolicyTarget(Strict):
    false_positive_rate: OpenFraction  # of benign validation rows


class PolicyTargets(Strict):
    """A target for every policy; its fields are their names."""

    def target(self, policy: str) -> float:
        """The false-positive rate that the policy's threshold is fixed for."""
        return getattr(self, policy).false_positive_rate


Policies = create_model("Policies", __base__=PolicyTargets, **dict.fromkeys(POLICIES, (PolicyTarget, ...)))


class Calibration(Strict):
    bins: Annotated[int, Field(ge=2)]


class Statistics(Strict):
    alpha: OpenFraction
    bootstrap_samples: Annotated[int, Field(ge=100)]
    seed: CountOrZero


class Params(Strict):
    """All settings of one scale; field names are the keys of `params.yaml`."""

    scale: Literal["root", "full", "smoke"]
    seeds: Seeds
    compute: Compute
    data: Data
    hard_negatives: HardNegatives
    compositions: Compositions
    attacks: Attacks
    model: Model
    train: Train
    quantize: Quantize
    export: Export
    benchmark: Benchmark
    baselines: Baselines
    peers: Peers
    evasion: Evasion
    leave_one_out: LeaveOneOut
    ablate: Ablate
    latency: Latency
    router: Router
    policies: Policies
    calibration: Calibration
    statistics: Statistics
    var: Var

    @model_validator(mode="after")
    def arms_differ_from_the_reference(self) -> Self:
        """The first arm changes nothing, and every other one a setting of `train` to an allowed value."""
        (reference, nothing), *others = self.ablate.arms.items()
        if nothing:
            raise ValueError(f"ablate.arms: {reference}, the first, is the reference and must change nothing")
        for arm, change in others:
            unknown = sorted(set(change) - set(Train.model_fields))
            if unknown or not change:
                known = ", ".join(Train.model_fields)
                raise ValueError(
                    f"ablate.arms.{arm}: {unknown[0] if unknown else 'nothing'} is no key of train: {known}"
                )
            Train.model_validate(self.train.model_dump() | change)
        return self


def load_params(path: Path | str = PARAMS_FILE) -> Params:
    """Read and check `params.yaml`.

    Raises:
        ParamsError: the file is missing, is not YAML, or holds a setting that is not allowed.
    """
    path = Path(path)
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: not found; run from the folder that holds {path.name}") from None
    except YAMLError as error:
        raise ParamsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    return parse_params(content, name=str(path))


def parse_params(content: Any, name: str = "params.yaml") -> Params:
    """Check settings already read from YAML; `name` is what errors call the file."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        # a misspelt key is also a missing one: name what stands in the file
        first = min(error.errors(), key=lambda each: each["type"] == "missing")
        raise ParamsError(f"{name}: {_describe(first)}") from None


def _describe(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "(whole file)"
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(error["loc"][:-1]))
        return f"{key} = {error['input']!r} is an unknown key; allowed here: {known}"
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}"
    allowed = error["msg"].replace("Input should be", "must be")
    return f"{key} = {error['input']!r} {allowed}{_range_of(error['loc'])}"


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    model: Any = Params
    for part in location:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _range_of(location: tuple[Any, ...]) -> str:
    """The whole range of a number, so that a wrong type learns it too."""
    model: Any = Params
    field = None
    for part in location:
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or part not in model.model_fields:
            return ""
        field = model.model_fields[part]
        model = field.annotation
    words = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = [
        f"{sign} {getattr(limit, name)}"
        for limit in (field.metadata if field else [])
        for name, sign in words.items()
        if getattr(limit, name, None) is not None
    ]
    return f" (allowed: {', '.join(bounds)})" if bounds else ""
