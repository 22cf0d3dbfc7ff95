"""Bringing a source's files to this machine: a local mirror first, then the network.

A file counts only if its sha256 is the registered one, wherever it lies and whatever it is called.
There is no fallback: what cannot be had is an error that says what was tried.
"""

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch

from tinyguardrail.sources.derivation import blob_list, derive
from tinyguardrail.sources.source import Source, SourceError, SourceFile
from tinyguardrail_common.files import atomic_file, sha256_of

MIRROR = "TINYGUARD_MIRROR"
TOKEN = "HF_TOKEN"
RETRIES = 3
TIMEOUT_S = 60


def obtain(source: Source) -> dict[str, Path]:
    """Path of each file of the source.

    Raises:
        SourceError: a file cannot be had; the line names source and file and says what was tried.
    """
    if source.hub:
        return {source.inputs[0].name: _from_hub(source)}
    return {file.name: _obtain_file(source, file) for file in source.files}


def _obtain_file(source: Source, file: SourceFile) -> Path:
    folder = os.environ.get(MIRROR)
    if not folder:
        tried = f"{MIRROR} is not set"
    elif not Path(folder).is_dir():
        raise SourceError(f"{MIRROR} = {folder!r} is no folder; correct it, or unset it to use the network")
    else:
        namesakes = [path for path in _mirror(folder) if path.name == file.name]
        if file.sha256 is None:
            return _only(source, file, folder, namesakes)
        for path, size in _mirror(folder).items():  # only files of the wanted size are hashed
            if size == file.bytes and _mirror_hash(path) == file.sha256:
                return path
        tried = f"mirror folder {folder} holds no file of this content"
        if namesakes:  # a file of the right name and another content, which a person would else puzzle over
            tried += f" ({namesakes[0]} has sha256 {_mirror_hash(namesakes[0])})"
    if file.derived:
        return _derive(source, file, tried)
    if file.url is None:
        raise SourceError(
            f"source {source.name}: {file.name} is handed out on request: ask for it at {source.page}, put "
            f"it into a folder under that name and set {MIRROR} to the folder (tried: {tried})"
        )
    return _download(source, file, tried)


def _only(source: Source, file: SourceFile, folder: str, found: list[Path]) -> Path:
    """The only file of that name: no hash of it is published."""
    if len(found) != 1:
        raise SourceError(
            f"source {source.name}: mirror folder {folder} holds {len(found)} files named {file.name}, "
            f"expected one; it is handed out on request at {source.page}"
        )
    return found[0]


@cache
def _mirror(folder: str) -> dict[Path, int]:
    """Size in bytes of each file of the folder."""
    return {path: path.stat().st_size for path in sorted(Path(folder).rglob("*")) if path.is_file()}


_mirror_hash: Callable[[Path], str] = cache(sha256_of)


def _download(source: Source, file: SourceFile, tried: str) -> Path:
    return _from_url(source, file, file.url, f"sha256:{file.sha256}", _cache(source), tried)


def _derive(source: Source, file: SourceFile, tried: str) -> Path:
    """The file joined anew from the archive of its repository; the archive itself is not kept."""
    target, place = _cache(source) / file.name, f"source {source.name}: {file.name}"
    if target.is_file() and sha256_of(target) == file.sha256:
        return target
    with TemporaryDirectory() as folder, atomic_file(target) as temporary:
        archive = _from_url(source, file, file.derived.archive, None, Path(folder), tried)
        with temporary.open("w", encoding="utf-8", newline="\n") as joined:
            joined.writelines(derive(archive, file.derived.rule, blob_list(source.name), place))
        if (found := sha256_of(temporary)) != file.sha256:
            raise SourceError(
                f"{place}: joined from {file.derived.archive} it has sha256 {found}, expected "
                f"{file.sha256}, although each file in it is right: report this, or set {MIRROR} to a folder "
                "that holds the file"
            )
    return target


def _cache(source: Source) -> Path:
    return Path(pooch.os_cache("tinyguardrail")) / source.name


def _from_url(
    source: Source, file: SourceFile, url: str, known_hash: str | None, folder: Path, tried: str
) -> Path:
    pooch.get_logger().setLevel("WARNING")
    store = pooch.create(
        path=folder,
        base_url="",
        registry={file.name: known_hash},
        urls={file.name: url},
        retry_if_failed=RETRIES,
    )
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_S)
    try:
        return Path(store.fetch(file.name, downloader=downloader))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
        raise SourceError(
            f"source {source.name}: {file.name} (sha256 {file.sha256}, {file.bytes} bytes) cannot be had: "
            f"{tried}; {url}: {_one_line(error)}; connect to the network, or set {MIRROR} to a folder "
            "that holds the file"
        ) from None


def _from_hub(source: Source) -> Path:
    """A hub data set at its pinned revision, as one parquet file in the cache."""
    hub, token = source.hub, os.environ.get(TOKEN)
    if source.access == "gated" and not token:
        raise SourceError(
            f"source {source.name}: {hub.path} is gated: accept its licence at {source.page}, then set "
            f"{TOKEN} to an access token of that account, or take the source off data.sources"
        )
    target = _cache(source) / hub.revision / source.inputs[0].name
    try:
        import datasets  # slow to import, and wanted for hub sets alone

        if not sys.stderr.isatty():
            datasets.disable_progress_bars()
        rows = datasets.load_dataset(
            hub.path, hub.config, split=hub.split, revision=hub.revision, token=token
        )
        with atomic_file(target) as temporary:
            rows.to_parquet(temporary)
    except Exception as error:  # whatever the client, the network or the account gives
        raise SourceError(
            f"source {source.name}: {hub.path} ({hub.config}, {hub.split}, revision {hub.revision}) cannot "
            f"be had: {_one_line(error)}; check the network, {TOKEN} and the licence at {source.page}"
        ) from error
    return target


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"
