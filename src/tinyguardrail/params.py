"""`params.yaml` as strict, typed models.

Every stage reads its settings through `load_params`. An unknown key, a wrong type or a
value out of range raises `ParamsError`, whose one-line message names the file, the key,
the value found and what is allowed. YAML 1.2 rules apply, so that `1e-05`, which
`dvc exp run -S train.learning_rate=0.00001` writes, is a number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tinyguardrail.errors import UserError
from tinyguardrail.evaluation.evasion_affixes import AFFIXES
from tinyguardrail.param_types import (
    Count,
    CountOrZero,
    Fraction,
    OpenFraction,
    Positive,
    Seeds,
    Split,
    Strict,
)
from tinyguardrail.paths import PARAMS_FILE
from tinyguardrail.var_params import Var

MINILM_LAYERS = 6


class ParamsError(UserError):
    """A setting that cannot be used; the message is one line."""


class Compute(Strict):
    threads: Annotated[int, Field(ge=1, le=256)]


class Data(Split):
    sources: Annotated[list[str], Field(min_length=1)]
    docstring_packages: list[str]
    max_characters: Annotated[int, Field(ge=1000)]
    split_seed: CountOrZero


class HardNegatives(Strict):
    trigger_words: CountOrZero
    documentation_share: Fraction
    technical_documentation: CountOrZero
    code: CountOrZero
    borderline: CountOrZero
    topics: CountOrZero
    scenarios: CountOrZero
    documents: CountOrZero


class Compositions(Strict):
    direct_injection: CountOrZero
    jailbreak: CountOrZero
    english_share: Fraction


class Attacks(Strict):
    flipattack: CountOrZero
    codechameleon: CountOrZero
    homoglyph: CountOrZero
    encoding: CountOrZero
    character_injection: CountOrZero
    typoglycemia: CountOrZero
    composition: CountOrZero
    validation_rows: Count
    test_rows: Count
    test_sources: Annotated[list[str], Field(min_length=1)]
    max_characters: Annotated[int, Field(ge=20)]


class Model(Strict):
    vocab_size: Annotated[int, Field(ge=2500, le=30522)]
    max_position_embeddings: Annotated[int, Field(ge=8, le=512)]
    chars_per_token: Annotated[int, Field(ge=5, le=64)]
    char_table_size: Annotated[int, Field(ge=512)]
    char_dim: Count
    char_filters: Count
    char_kernel_sizes: Annotated[list[Count], Field(min_length=1)]
    shared_layers: Annotated[int, Field(ge=1, le=5)]
    fast_layers: Annotated[int, Field(ge=1, le=5)]
    deep_layers: Annotated[int, Field(ge=1, le=5)]
    num_experts: Annotated[int, Field(ge=2)]
    num_experts_per_text: Count
    expert_noise: Annotated[float, Field(ge=0)]
    router_hidden: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def layers_and_experts_exist(self) -> Model:
        if self.shared_layers + max(self.fast_layers, self.deep_layers) > MINILM_LAYERS:
            raise ValueError(f"shared_layers and a branch's layers must be at most {MINILM_LAYERS} together")
        if self.num_experts_per_text > self.num_experts:
            raise ValueError(f"num_experts_per_text must be at most num_experts ({self.num_experts})")
        return self


class Train(Strict):
    epochs: Count
    rows_per_epoch: Count | None
    weights: dict[str, Positive]
    window_tokens: Annotated[int, Field(ge=8, le=512)]
    validation_rows: Count
    batch_size: Count
    accumulation_steps: Count
    learning_rate: Positive
    head_learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_fraction: Fraction
    clip_norm: Positive
    precision: Literal["bf16", "fp32"]
    focal_alpha: Annotated[float, Field(gt=0, le=1)]
    focal_gamma: Annotated[float, Field(ge=0)]
    router_weight: Annotated[float, Field(ge=0)]
    ratio_weight: Annotated[float, Field(ge=0)]
    balance_weight: Annotated[float, Field(ge=0)]
    threat_weight: Annotated[float, Field(ge=0)]
    energy_weight: Annotated[float, Field(ge=0)]
    energy_margin: Annotated[float, Field(ge=0)]
    deep_share: OpenFraction
    adversarial_epoch: CountOrZero | None
    adversarial_steps: Count
    adversarial_epsilon: Positive
    adversarial_weight: Annotated[float, Field(ge=0)]
    quantization_aware_epoch: CountOrZero | None
    early_stopping_patience: Count | None
    report_to: list[Literal["tensorboard", "wandb"]]
    checkpoint_seconds: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def weights_need_a_draw(self) -> Train:
        if self.weights and self.rows_per_epoch is None:
            raise ValueError("weights say what is drawn, but rows_per_epoch is null and every row is seen")
        return self


class Quantize(Strict):
    block_size: Count


class Export(Strict):
    opset: Annotated[int, Field(ge=18, le=21)]
    parity_rows: Count
    parity_tolerance: Positive
    agreement_rows: Count
    agreement_false_positive_rate: OpenFraction


class Benchmark(Strict):
    batch_size: Count
    latency_rows: Count
    latency_threads: Annotated[int, Field(ge=1, le=256)]
    latency_warmup: CountOrZero


class Evasion(Strict):
    texts: Count
    candidates: Annotated[int, Field(ge=1, le=len(AFFIXES))]


class LeaveOneOut(Strict):
    seed: CountOrZero
    rows: Count
    validation_rows: Count
    test_rows: Count


class Ablate(Strict):
    seeds: Seeds
    rows: Count
    validation_rows: Count
    test_rows: Count


class Router(Strict):
    threshold: Fraction


class Calibration(Strict):
    target_false_positive_rate: OpenFraction
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
    evasion: Evasion
    leave_one_out: LeaveOneOut
    ablate: Ablate
    router: Router
    calibration: Calibration
    statistics: Statistics
    var: Var


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
