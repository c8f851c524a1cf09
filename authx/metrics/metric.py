"""A metric as it is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final

#: What stands for a value that is not declared, such as the word of a site's own refusal.
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its name without a prefix, and every value that each label can have.

    No label holds a user, a session or an address: their values are a few, and known before.
    """

    name: str
    #: Read by people, in one line.
    help: str
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def known(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the labels in the order of the declaration, a value that is not declared as ``other``."""
        return {
            name: str(labels[name]) if labels[name] in values else OTHER
            for name, values in self.labels.items()
        }

    def series(self) -> Iterator[dict[str, str]]:
        """Yield every combination of labels, ``other`` left out."""
        for values in product(*(sorted(values) for values in self.labels.values())):
            yield dict(zip(self.labels, values, strict=True))
