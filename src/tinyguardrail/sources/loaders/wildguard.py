"""WildGuardMix (2406.18495), and the benign part of its test split that PIGuard published."""

from collections.abc import Iterator, Sequence

from tinyguardrail.data.labels import BENIGN
from tinyguardrail.data.records import Record
from tinyguardrail.sources.reading import InputFile, rows_of

LABELS = {"harmful": "jailbreak", "unharmful": BENIGN}
STYLES = {"true": "adversarial", "false": "vanilla"}
FAMILIES = {
    ("jailbreak", "adversarial"): "wildguard_jailbreak",
    ("jailbreak", "vanilla"): "plain_request",
    (BENIGN, "adversarial"): "wildguard_adversarial_benign",
    (BENIGN, "vanilla"): "wildguard_benign",
}
BENIGN_ONLY = {"0": BENIGN}


def wildguardmix(files: Sequence[InputFile]) -> Iterator[Record]:
    """Prompts by their own harm label; the label of the response is another task."""
    for file, row in rows_of(files):
        if row.get("prompt_harm_label") is None:
            file.dropped["no_label"] += 1
            continue
        label = row.choice("prompt_harm_label", LABELS)
        style = row.choice("adversarial", STYLES)
        yield file.record(row.text("prompt"), label, FAMILIES[label, style])


def wildguard_benign(files: Sequence[InputFile]) -> Iterator[Record]:
    for file, row in rows_of(files):
        yield file.record(row.text("prompt"), row.choice("label", BENIGN_ONLY), "wildguard_benign")
