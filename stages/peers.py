"""Score validation and test texts with the guards of others, each as shipped, in its own environment."""

from typing import get_args

from tinyguardrail_paper.experiments.peers.facts import read_peers
from tinyguardrail_paper.experiments.peers.measure import measure
from tinyguardrail_paper.experiments.peers.rows import peer_rows
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.peers import PeerName
from tinyguardrail_paper.settings.stage import run_stage

PEER = {"choices": get_args(PeerName), "help": "one of those in params.yaml; without it all of them"}


def main(params: Params, peer: str | None) -> None:
    settings, known = params.peers, read_peers()
    records = peer_rows(settings.splits, settings.rows_per_group)
    for name in [peer] if peer else settings.names:
        print(measure(known[name], records, params.compute.threads, settings.allow_missing), flush=True)


if __name__ == "__main__":
    run_stage(main, __doc__, peer=PEER)
