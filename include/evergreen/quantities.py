"""Amounts of cpu, memory and disk as Kubernetes writes them: 500m, 2, 16Gi.

The grammar is that of `resource.Quantity`:
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_NUMBER = r"[0-9]{1,19}(?:\.[0-9]{1,9})?"
_CPU = re.compile(rf"^({_NUMBER})(m?)$")
_BYTES = re.compile(rf"^({_NUMBER})([mkMGTPE]|[KMGTPE]i)?$")
_FACTORS: Mapping[str, Decimal] = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_MOST_CPU = Decimal(10_000)
_LEAST_BYTES = _FACTORS["Mi"]
_MOST_BYTES = Decimal(2**63 - 1)
CPU_RULE = 'cores such as 2 or 0.5, or thousandths of one such as "500m"; from "1m" to 10000'
BYTES_RULE = 'a number and a suffix, such as "512Mi" or "16Gi" (suffixes: k, M, G, T, P, E, Ki … Ei)'


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount; `str()` gives the text it was written as.

    `value` is in cores or bytes. Two are equal where they are written alike.
    """

    text: str
    value: Decimal

    @classmethod
    def cpu(cls, value: object) -> Quantity:
        """Read an amount of cpu.

        Raises:
            ValueError: for anything but 1m to 10000 cores, in whole thousandths.

        >>> Quantity.cpu("500m").value
        Decimal('0.500')
        """
        if isinstance(value, Quantity):
            return value
        match = _CPU.fullmatch(_text(value))
        amount = Decimal(match[1]) * _FACTORS[match[2]] if match else Decimal(0)
        if not 0 < amount <= _MOST_CPU or amount % _FACTORS["m"]:
            raise ValueError(f"not an amount of cpu; write {CPU_RULE}")
        return cls(_text(value), amount)

    @classmethod
    def memory(cls, value: object) -> Quantity:
        """Read an amount of memory or disk.

        Raises:
            ValueError: for anything but a number of bytes of at least 1Mi.

        >>> Quantity.memory("2Gi").value
        Decimal('2147483648')
        """
        if isinstance(value, Quantity):
            return value
        match = _BYTES.fullmatch(_text(value))
        if match is None:
            raise ValueError(f"not an amount of bytes; write {BYTES_RULE}")
        if match[2] == "m":
            raise ValueError(f'm stands for thousandths of a byte; did you mean "{match[1]}Mi"?')
        amount = Decimal(match[1]) * _FACTORS[match[2] or ""]
        if amount < _LEAST_BYTES:
            raise ValueError(f"less than 1Mi; write {BYTES_RULE}")
        if amount > _MOST_BYTES or amount % 1:
            raise ValueError("more bytes than there can be, or a part of one; write a whole number")
        return cls(_text(value), amount)

    def __str__(self) -> str:
        return self.text


def _text(value: object) -> str:
    """Return the text of a quantity, whichever way YAML took it; empty for what is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{Decimal(str(value)):f}".removesuffix(".0")


CpuField = Annotated[
    Quantity,
    BeforeValidator(Quantity.cpu),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "title": "Cpu",
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": _CPU.pattern},
            ],
        }
    ),
]
BytesField = Annotated[
    Quantity,
    BeforeValidator(Quantity.memory),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "title": "Bytes",
            "anyOf": [
                {"type": "integer", "minimum": int(_LEAST_BYTES)},
                {"type": "string", "pattern": _BYTES.pattern},
            ],
        }
    ),
]
