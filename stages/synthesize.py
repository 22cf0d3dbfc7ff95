"""Turn the sources into train, validation and test rows, and describe them in the data card."""

from tinyguardrail.sources.corpus import read_corpus
from tinyguardrail.sources.registry import not_requested
from tinyguardrail.synthesis.diversity import corpus_diversity
from tinyguardrail.synthesis.grammar import Grammar
from tinyguardrail.synthesis.synthesis import synthesize
from tinyguardrail_common.files import atomic_folder, read_json, write_json
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import CORPUS, DATA_CARD, GRAMMAR, RAW, RAW_REPORT, SPLITS
from tinyguardrail_paper.settings.stage import run_stage


def main(params: Params) -> None:
    with atomic_folder(SPLITS) as folder:
        card = synthesize(RAW, folder, Grammar(GRAMMAR), params)
    content = card.as_json(
        report=read_json(RAW_REPORT),
        diversity=corpus_diversity(read_corpus(CORPUS)),
        missing=not_requested(params.data.sources),
    )
    write_json(DATA_CARD, content)
    print(f"{content['rows']} rows: {content['by_split']}")


if __name__ == "__main__":
    run_stage(main, __doc__)
