"""The guard beside its rivals: measured here, as published, and at equal false positives."""

from dataclasses import dataclass

from tinyguardrail.runtime.policy import ANY
from tinyguardrail_paper.analysis.baselines import baseline_system
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.peers import peer_system
from tinyguardrail_paper.analysis.policies import system_name
from tinyguardrail_paper.analysis.rivals import EQUAL
from tinyguardrail_paper.analysis.suites import benchmark
from tinyguardrail_paper.experiments.peers.facts import read_peers
from tinyguardrail_paper.settings.baselines import BASELINES
from tinyguardrail_paper.tables.formatting import NOTHING, mean, number, with_interval, without_unit
from tinyguardrail_paper.tables.guard_tables import ARMS
from tinyguardrail_paper.tables.policy_columns import NARROWER
from tinyguardrail_paper.tables.table import Rows, declare

OURS = {
    "guard": "TinyGuardrail",
    "guard_always_fast": "TinyGuardrail, always fast",
    "guard_always_deep": "TinyGuardrail, always deep",
}
HERE = "measured"
PROPOSAL = "proposal"  # the document that this work began from, which names no source of its figures
PIGUARD, PINT = "arXiv 2410.22770", "PINT"  # the paper's main table; the benchmark's own list
PEERS = {peer_system(name): peer for name, peer in read_peers().items()}
BASELINE_TITLES = {baseline_system(name): baseline.title for name, baseline in BASELINES.items()}


@dataclass(frozen=True, kw_only=True)
class Cited:
    """A system as others describe it, each field as text; what nobody published is a dash."""

    title: str
    size: str = NOTHING
    pint: str = NOTHING
    notinject: str = NOTHING
    false_positives: str = NOTHING
    latency: str = NOTHING
    flipattack: str = NOTHING
    open: str = "yes"
    source: str

    @property
    def cells(self) -> tuple[str, ...]:
        measured = (self.size, self.pint, self.notinject, self.false_positives, NOTHING)
        return (self.title, *measured, self.flipattack, self.latency, self.open, self.source)


def _by_piguard(guard: str, test: str) -> str:
    """A false-positive rate of its main table, marked where the set is not ours."""
    published = benchmark(test).published["false_positive_rate"]
    return number(1 - published.accuracy[guard], "percent") + (" \u2020" if published.not_comparable else "")


PUBLISHED = (
    Cited(
        title="Granite Guardian 8B", size="8 GB", latency="\u2248 40 ms", flipattack="< 5%", source=PROPOSAL
    ),
    Cited(
        title="Llama Guard 3 8B",
        size="8 GB",
        pint="\u2248 80%",
        false_positives="> 15%",
        latency="\u2248 80 ms",
        flipattack="< 5%",
        source=PROPOSAL,
    ),
    Cited(title="Prompt Guard 2 86M", size="86 million", pint="78.8%", source=PINT),
    Cited(
        title="Lakera Guard",
        pint="95.2%",
        latency="\u2248 300 ms",
        flipattack="< 5%",
        open="no",
        source=f"{PINT}; {PROPOSAL}",
    ),
    Cited(
        title="PIGuard",
        size="184 million",
        notinject=_by_piguard("PIGuard", "notinject"),
        false_positives=_by_piguard("PIGuard", "wildguard_benign"),
        source=PIGUARD,
    ),
    Cited(
        title="ProtectAI v2",
        size="184 million",
        pint="79.1%",
        notinject=_by_piguard("ProtectAI v2", "notinject"),
        false_positives=_by_piguard("ProtectAI v2", "wildguard_benign"),
        source=f"{PIGUARD}; {PINT}",
    ),
)


def rival_title(system: str) -> str:
    """A rival as a person would write it."""
    return PEERS[system].title if system in PEERS else BASELINE_TITLES[system]


@declare(
    "main",
    "The guard beside its rivals, under the policy any. NotInject, false positives and recall are of "
    "untransformed test rows. The guard and the baselines block at thresholds fixed on validation rows, "
    "peers as they are shipped, which scored a sample of rows. Sizes are of INT8 weights for the guard, of "
    "fp32 ones for baselines, of the installed files for peers. Other systems as published, some sizes in "
    "parameters, with a dash for what nobody did; the proposal names no source. \u2020 WildGuardTest and "
    "PINT together.",
    "System | Size | PINT | NotInject | False pos. | Recall | FlipAttack | P95 | Open | Source",
)
def main(results: Results) -> Rows:
    rows = []
    for system, title in OURS.items():
        latency = results.look_up(("guard", "latency", ARMS[system]))
        size = mean(results.look_up(("guard", "size", "int8_size_mb")))
        rows.append(_measured(results, system, title, size, mean(latency) if latency else NOTHING))
    for system, title in BASELINE_TITLES.items():
        if system in results.systems:
            rows.append(
                _measured(results, system, title, mean(results.look_up((system, "size", "fp32_size_mb"))))
            )
    for system, peer in PEERS.items():
        if system in results.systems:
            rows.append(_measured(results, system, peer.title, number(peer.model_bytes / 1e6, "megabytes")))
    return rows + [each.cells for each in PUBLISHED]


def _measured(
    results: Results, system: str, title: str, size: str, latency: str = NOTHING
) -> tuple[str, ...]:
    shown = (("notinject", "false_positive_rate"), ("plain", "false_positive_rate"), ("plain", "recall"))
    found = (results.look_up((system, *path)) for path in (*shown, ("flipattack", "recall")))
    cells = (with_interval(each) if each else NOTHING for each in found)
    return (title, size, NOTHING, *cells, latency, "yes", HERE)


@declare(
    "rivals",
    "The guard and each rival at the false-positive rate that the rival has on all benign test rows: recall "
    "on all threats, obfuscated ones included, and by how much the guard's is higher. The guard's threshold "
    "is set to that rate on the same rows. Under the policy any; the gap alone under each other one.",
    f"Rival | Threats | Its false pos. | Its recall | The guard's | Gap, points | {' | '.join(NARROWER)}",
)
def rivals(results: Results) -> Rows:
    rows = []
    for system, found in results.systems[EQUAL].items():
        if found:
            shown = (found[name] for name in ("false_positive_rate", "recall", "guard_recall"))
            gaps = (
                results.look_up((system_name(EQUAL, each), system, "recall_gap")) for each in (ANY, *NARROWER)
            )
            cells = (without_unit(gap) if gap else NOTHING for gap in gaps)
            rows.append((rival_title(system), f"{found['recall'].n:,}", *map(with_interval, shown), *cells))
    return rows
