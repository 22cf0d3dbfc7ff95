"""The metrics of test rows. A new one is a file here that names it in a tuple `METRICS`."""

from tinyguardrail_common.discovery import known, members
from tinyguardrail_paper.analysis.metrics.metric import Metric

METRICS: dict[str, Metric] = {metric.name: metric for metric in members(__name__, __path__, "METRICS")}


def metric(name: str) -> Metric:
    """The metric of that name; a `UserError` names the known ones."""
    return known(METRICS, name, "metric")
