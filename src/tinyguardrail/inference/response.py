"""A verdict in 16 bits, for logs and wires that count them.

From the highest bit: blocked 1, label 2, threat probability in 127ths 7, deep branch 1,
obfuscation family 4 (0 = none found), input truncated 1.
"""

from __future__ import annotations

from typing import NamedTuple

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

    @classmethod
    def of(
        cls,
        blocked: bool,
        label: int,
        threat_probability: float,
        deep: bool,
        obfuscation_family: int = 0,
        truncated: bool = False,
    ) -> Response:
        """Round a verdict to the fields; `threat_probability` is in [0, 1]."""
        threat = round(threat_probability * LEVELS)
        return cls(int(blocked), label, threat, int(deep), obfuscation_family, int(truncated))

    @property
    def threat_probability(self) -> float:
        return self.threat / LEVELS

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
    def decode(cls, code: int) -> Response:
        """Inverse of `encode`, for every number from 0 to 65,535."""
        if not 0 <= code < 2**16:
            raise ValueError(f"{code} is not a number of 16 bits")
        fields = []
        for width in reversed(WIDTHS):
            fields.append(code & (2**width - 1))
            code >>= width
        return cls(*reversed(fields))
