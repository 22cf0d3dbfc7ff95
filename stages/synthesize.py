"""Turn the sources into train, validation and test rows, and describe them in the data card."""

from pyarrow import parquet

from tinyguardrail.data.card import data_card
from tinyguardrail.data.docstrings import Docstring
from tinyguardrail.data.records import SPLITS as SPLIT_NAMES
from tinyguardrail.data.records import read_records, write_records
from tinyguardrail.data.synthesis import synthesize
from tinyguardrail.files import atomic_folder, write_json
from tinyguardrail.params import Params
from tinyguardrail.paths import DATA_CARD, RAW, SPLITS
from tinyguardrail.stage import run_stage


def main(params: Params) -> None:
    authored = read_records(RAW / "authored.parquet")
    docstrings = [Docstring(**row) for row in parquet.read_table(RAW / "docstrings.parquet").to_pylist()]
    records, dropped = synthesize(authored, docstrings, params.data, params.attacks)
    with atomic_folder(SPLITS) as folder:
        for split in SPLIT_NAMES:
            write_records(folder / f"{split}.parquet", [row for row in records if row.split == split])
    card = data_card(records, dropped)
    write_json(DATA_CARD, card)
    print(f"{card['rows']} rows: {card['by_split']}")


if __name__ == "__main__":
    run_stage(main)
