"""A verdict in 16 bits, for logs and wires that count them.

From the highest bit: blocked 1, label 2, threat probability in 127ths 7, deep branch 1,
obfuscation family 4 (its code; 0 = none found), truncated 1: the text was
longer than what is searched for obfuscations (`normalizer.MAX_SEARCHED`).
"""

from typing import NamedTuple, Self

from tinyguardrail.attacks.registry import FAMILIES

CODE_OF_FAMILY = {"none": 0} | {family.name: family.code for family in FAMILIES.values()}
FAMILY_OF_CODE = {code: name for name, code in CODE_OF_FAMILY.items()}
LEVELS = 127
WIDTHS = (1, 2, 7, 1, 4, 1)


class Response(NamedTuple):
    """The fields in the order of their bits; each is a whole number that fits its width."""

    blocked: int
    label: int
    threat: int
    deep: int
    obfuscation_family: int
    truncated: int

    @property
    def threat_probability(self) -> float:
        return self.threat / LEVELS

    @property
    def obfuscation(self) -> str:
        """Name of the family; that of a code that no family has is "unknown"."""
        return FAMILY_OF_CODE.get(self.obfuscation_family, "unknown")

    def encode(self) -> int:
        """0 to 65,535.

        Raises:
            ValueError: a field does not fit its bits; the field is named.
        """
        code = 0
        for name, value, width in zip(self._fields, self, WIDTHS, strict=True):
            if not 0 <= value < 2**width:
                raise ValueError(f"{name} = {value} does not fit {width} bits (0 to {2**width - 1})")
            code = code << width | value
        return code

    @classmethod
    def decode(cls, code: int) -> Self:
        """Inverse of `encode`, for every number from 0 to 65,535."""
        if not 0 <= code < 2**16:
            raise ValueError(f"{code} is not a number of 16 bits")
        fields = []
        for width in reversed(WIDTHS):
            fields.append(code & (2**width - 1))
            code >>= width
        return cls(*reversed(fields))
