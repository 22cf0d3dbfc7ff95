"""Bring every source named in the parameters into data/raw, one parquet file each."""

from tinyguardrail.data.registry import find_source
from tinyguardrail.files import atomic_folder
from tinyguardrail.params import Params
from tinyguardrail.paths import RAW
from tinyguardrail.stage import run_stage


def main(params: Params) -> None:
    sources = [find_source(name) for name in params.data.sources]
    with atomic_folder(RAW) as folder:
        for source in sources:
            fetched = source.fetch(folder / f"{source.name}.parquet", params.data)
            print(f"{source.name}: {fetched.rows} rows, {fetched.copies_dropped} exact copies dropped")


if __name__ == "__main__":
    run_stage(main)
