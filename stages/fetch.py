"""Bring every source named in the parameters into data/raw, one parquet file each, and a report of them."""

import hashlib

from tinyguardrail.sources.registry import fetch_source, find_source
from tinyguardrail_common.files import atomic_folder, write_json
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import CORPUS, RAW, RAW_REPORT
from tinyguardrail_paper.settings.stage import run_stage


def main(params: Params) -> None:
    sources = [find_source(name) for name in params.data.sources]
    report = {}
    with atomic_folder(RAW) as folder:
        for source in sources:
            target = folder / f"{source.name}.parquet"
            fetched = fetch_source(source, target, params.data, CORPUS)
            report[source.name] = {
                "rows": fetched.rows,
                "dropped": fetched.dropped,
                "files": fetched.files,
                "parquet_md5": hashlib.md5(target.read_bytes(), usedforsecurity=False).hexdigest(),
            }
            print(f"{source.name}: {fetched.rows} rows, dropped {fetched.dropped}")
            for name, path in fetched.paths.items():
                print(f"  {name} from {path}")
        write_json(folder / RAW_REPORT.name, report)


if __name__ == "__main__":
    run_stage(main, __doc__)
