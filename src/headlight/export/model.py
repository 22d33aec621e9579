"""The model as ONNX files that assign new images without headlight, with a model card."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headlight.errors import HeadlightError
from headlight.export.destination import ExportReport, new_folder
from headlight.export.model_card import ExportedModel, model_card
from headlight.export.result import Result, unique_names
from headlight.export.streaming import dumped
from headlight.review.model import NONE, GroupsModel, groups_model
from headlight.review.review import Review
from headlight.runs import Run
from headlight.runs.files import write_json

if TYPE_CHECKING:
    import onnx

    from headlight.encoders.base import Encoder

HEAD, MODEL = "head.onnx", "model.onnx"


def export_onnx(run: Run, dest: Path) -> ExportReport:
    """Write the model as ONNX into a new folder.

    - ``head.onnx``: features, float32 (n, dim) → ``labels``, int64 (n,), −1 where an image is in
      no group, and ``probabilities``, float32 (n, groups);
    - ``model.onnx``: pixels, uint8 (n, size, size, 3), RGB → the same, where the encoder can be
      written as ONNX; pixels are normalised inside;
    - ``clusters.json``: for each column of the probabilities the group's number and name, and
      how an image must be prepared;
    - ``README.md``: the model card.

    The model is that of the groups as reviewed, which `predict_run` uses too; the card says how far
    it agrees with them. Both files are compared with headlight's own predictions before the folder
    appears.

    Arguments:
        run: fitted.
        dest: folder to create; an existing one must be empty.

    Returns:
        What was done; ``exported`` counts the run's images, which the model was trained on.

    Raises:
        HeadlightError: ``dest`` is not free, lies in the run or among the images, or can't be
            written; a package is missing; or a model's predictions are not headlight's.
    """
    for package in ("onnx", "onnxruntime"):
        if not find_spec(package):
            raise HeadlightError(
                f"--to onnx needs the package {package}: pip install 'headlight-images[export]'"
            )
    with new_folder(run, dest) as root:
        result = Result(run)
        model = groups_model(result.review)
        names = predicted_names(result, model)
        exported = _models(root, result.review, model, names)
        write_json(root / "clusters.json", _clusters(run, model, names, exported.encoder))
        card = model_card(result, model, names, exported)
        (root / "README.md").write_text(card, "utf-8")
    return ExportReport(dest, len(run.assignments))


def predicted_names(result: Result, model: GroupsModel) -> dict[int, str]:
    """Number → name of each group that a prediction can be, in the order of probabilities."""
    names = {**result.review.names, **result.names}
    return unique_names({k: names.get(k) or f"cluster-{k}" for k in model.groups})


def _models(root: Path, review: Review, model: GroupsModel, names: dict[int, str]) -> ExportedModel:
    from headlight.export.onnx_check import check_head, check_images
    from headlight.export.onnx_encoder import (
        Unexportable,
        encoder_model,
        encoder_of,
        join,
        network_of,
    )
    from headlight.export.onnx_head import head_model

    run = review.run
    head = head_model(model)
    _describe(head, run, names, None)
    checked_head = check_head(head, review, model)
    _save(head, root / HEAD)
    try:
        encoder = encoder_of(run)
        network = network_of(encoder)
        graph, opset = encoder_model(encoder, network)
        whole = join(graph, head_model(model, opset))
        _describe(whole, run, names, encoder)
        checked = check_images(whole, review, model, encoder, network)
        _save(whole, root / MODEL)
    except Unexportable as reason:
        return ExportedModel(None, str(reason), checked_head, None)
    return ExportedModel(encoder, "", checked_head, checked)


def _save(model: onnx.ModelProto, file: Path) -> None:
    from onnx import checker

    checker.check_model(model, full_check=True)
    file.write_bytes(model.SerializeToString())


def _describe(
    model: onnx.ModelProto, run: Run, names: dict[int, str], encoder: Encoder | None
) -> None:
    """Put into the file itself what its user must know."""
    from onnx import helper

    about = {
        "headlight.fit": run.fit.id,
        "headlight.encoder": run.info.encoder.name,
        "headlight.encoder_weights_sha256": run.info.encoder.weights,
        "headlight.clusters": dumped({str(k): name for k, name in names.items()}),
        "headlight.input": input_description(encoder),
    }
    helper.set_model_props(model, about)


def input_description(encoder: Encoder | None) -> str:
    """A sentence that describes the model's input."""
    if encoder is None:
        return (
            "features: float32 (n, dim), as the encoder computes them for the plain image; "
            "they are centred, projected and scaled to length 1 inside"
        )
    size = encoder.input_size
    taken = (
        "the whole image, squashed to a square,"
        if encoder.squash
        else f"the central square, {encoder.crop:g} of the shorter side,"
    )
    return (
        f"pixels: uint8 (n, {size}, {size}, 3), upright RGB, 0 to 255; {taken} resized to "
        f"{size} × {size} with antialiasing ({encoder.resample.name.lower()}); normalised inside"
    )


def _clusters(
    run: Run, model: GroupsModel, names: dict[int, str], encoder: Encoder | None
) -> dict[str, Any]:
    about: dict[str, Any] = {
        "clusters": [
            {"column": i, "cluster": k, "name": names[k]} for i, k in enumerate(model.groups)
        ],
        "none": None if model.references is None else NONE,
        "reviewed": model.reviewed,
        "agreement": round(model.agreement, 4),
        "features": {"encoder": run.info.encoder.name, "dim": run.info.encoder.dim},
    }
    if encoder is not None:
        about["image"] = {
            "size": encoder.input_size,
            "crop": encoder.crop,
            "squash": encoder.squash,
            "resample": encoder.resample.name.lower(),
            "input": input_description(encoder),
        }
    return about
