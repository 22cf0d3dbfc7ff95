"""Rows of invented words, and settings small enough to make splits of them."""

from pathlib import Path
from random import Random
from string import ascii_lowercase

from tinyguardrail.attacks.registry import FAMILIES
from tinyguardrail.data.records import Record
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail_paper.settings.params import Params, load_params

ROOT = Path(__file__).parent.parent
GRAMMAR = Grammar(ROOT / "data/corpus/grammar")


def row(text="some text", label="benign", parent="p", split="train", **changes):
    fields = {"source": "authored", "family": "f", "transform": "none", "language": "en", **changes}
    return Record(text, label, parent_id=parent, split=split, **{"intent": usual_intent(label), **fields})


def usual_intent(label):
    """What a row of a label is after where a test does not say."""
    return {"benign": "benign", "direct_injection": "injection"}.get(label, "jailbreak")


def invented(seed: str, words: int) -> str:
    rng = Random(seed)
    return " ".join("".join(rng.choices(ascii_lowercase, k=rng.randint(4, 9))) for _ in range(words))


def settings(**changed) -> Params:
    content = load_params(ROOT / "params.yaml").model_dump()
    content["data"] |= {"validation_fraction": 0.25, "test_fraction": 0.25}
    content["hard_negatives"] |= {
        "trigger_words": 8,
        "documentation_share": 0.25,
        "technical_documentation": 2,
        "code": 2,
        "borderline": 4,
        "topics": 8,
        "scenarios": 8,
        "documents": 12,
    }
    content["compositions"] |= {"direct_injection": 8, "jailbreak": 8, "english_share": 1.0}
    families = {name: 2 * len(family.transforms) for name, family in FAMILIES.items()}
    content["attacks"] |= families | {"validation_rows": 14, "test_rows": 28, "max_characters": 200}
    for key, value in changed.items():
        section, name = key.split("__")
        content[section][name] = value
    return Params.model_validate(content)
