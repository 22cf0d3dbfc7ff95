"""Columns of tables that set the policies side by side."""

from collections.abc import Iterator

from tinyguardrail.runtime.policy import ANY
from tinyguardrail_paper.analysis.evaluate import Results
from tinyguardrail_paper.analysis.policies import SYSTEMS
from tinyguardrail_paper.tables.formatting import NOTHING, mean

NARROWER = tuple(name for name in SYSTEMS if name != ANY)  # `any` has a column with intervals


def by_policy(results: Results, test: str, metric: str) -> Iterator[str]:
    """The mean under each of `NARROWER`; a dash where a policy judges no such rows."""
    for name in NARROWER:
        found = results.look_up((SYSTEMS[name], test, metric))
        yield mean(found) if found else NOTHING
