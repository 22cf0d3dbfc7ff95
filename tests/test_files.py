"""Nothing half-written ever stands under a final name."""

import json

import pytest

from tinyguardrail_common.files import atomic_file, atomic_folder, write_json


class Crash(Exception):
    pass


def test_a_crash_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": True})
    with pytest.raises(Crash), atomic_file(path) as temporary:
        temporary.write_text("{half")
        raise Crash
    assert json.loads(path.read_text()) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_leaves_the_old_folder(tmp_path):
    path = tmp_path / "model"
    with atomic_folder(path) as temporary:
        (temporary / "weights").write_text("old")
    with pytest.raises(Crash), atomic_folder(path) as temporary:
        (temporary / "weights").write_text("half")
        raise Crash
    assert (path / "weights").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "model"
    for name in ("first", "second"):
        with atomic_folder(path) as temporary:
            (temporary / name).write_text("x")
    assert [file.name for file in path.iterdir()] == ["second"]


def test_numbers_that_json_lacks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
