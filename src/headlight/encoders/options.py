"""What may follow an encoder's name: ``NAME@OPTION,OPTION``."""

from __future__ import annotations

from dataclasses import dataclass

from headlight.encoders.preprocessing import Preprocessing
from headlight.errors import HeadlightError

POOLINGS = ("cls", "mean")


@dataclass(frozen=True)
class Options:
    """How an encoder is to be used other than usual.

    Arguments:
        size: side of the image it takes, pixels (``@160``).
        pooling: of a transformer's last tokens, the class token or the mean of those of patches
            (``@cls``, ``@mean``).
    """

    size: int | None = None
    pooling: str | None = None

    def allow(self, *names: str) -> None:
        """Refuses options other than ``names``.

        Raises:
            HeadlightError: one was given.
        """
        for name in ("size", "pooling"):
            value = getattr(self, name)
            if value is not None and name not in names:
                raise HeadlightError(f"this encoder has no option @{value}")

    def apply(self, own: Preprocessing) -> tuple[Preprocessing, str]:
        """How images are made ready, and what the encoder's name ends in.

        Arguments:
            own: how it is done without options.

        Returns:
            The same at the size asked for, and `suffix` of the options that make a difference.
        """
        used = own.at(self.size)
        size = None if used == own else self.size
        return used, Options(size, "mean" if self.mean else None).suffix

    @property
    def mean(self) -> bool:
        """Whether the mean of tokens of patches is asked for; ``@cls`` is usual."""
        return self.pooling == "mean"

    @property
    def suffix(self) -> str:
        """As text after a name: ``@160``, ``@mean,160`` or nothing."""
        given = [str(value) for value in (self.pooling, self.size) if value is not None]
        return "@" + ",".join(given) if given else ""


def split_options(spec: str) -> tuple[str, Options]:
    """A name and its options.

    An ``@`` followed by anything that is no option belongs to the name: paths may hold one.

    Raises:
        HeadlightError: an option given twice.
    """
    name, at, rest = spec.rpartition("@")
    words = rest.split(",")
    if not at or not all(word in POOLINGS or word.isdigit() for word in words):
        return spec, Options()
    sizes = [int(word) for word in words if word.isdigit()]
    poolings = [word for word in words if word in POOLINGS]
    if len(sizes) > 1 or len(poolings) > 1:
        raise HeadlightError("an option is given twice")
    return name, Options(sizes[0] if sizes else None, poolings[0] if poolings else None)
