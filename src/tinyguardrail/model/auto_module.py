"""Saving `auto.py` beside a model, so that `trust_remote_code=True` finds the installed package."""

import shutil
from pathlib import Path
from typing import Any

AUTO_FILE = Path(__file__).with_name("auto.py")


def in_auto_module(name: str) -> str:
    """A class of the saved module, as `auto_map` writes it."""
    return f"{AUTO_FILE.stem}.{name}"


class SavedWithAutoModule:
    """A mixin: whatever is saved is saved with the module that its `auto_map` names."""

    def save_pretrained(self, save_directory: Path | str, **kwargs: Any) -> Any:
        saved = super().save_pretrained(save_directory, **kwargs)
        shutil.copyfile(AUTO_FILE, Path(save_directory) / AUTO_FILE.name)
        return saved

    @classmethod
    def register_for_auto_class(cls, auto_class: str | None = None) -> None:
        """Nothing: transformers would from then on save copies of the package's own files."""
