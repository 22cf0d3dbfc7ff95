"""Published obfuscations of text, written as seeded transforms, with their inverses where one exists.

They augment attacks and benign text alike, so that a detector cannot take the disguise for the intent.
"""

from tinyguardrail.attacks.registry import FAMILIES, Attacked, Family, NothingToChange

__all__ = ["FAMILIES", "Attacked", "Family", "NothingToChange"]
