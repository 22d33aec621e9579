"""Assigns new images to the groups of a run, as reviewed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from headlight.encoders import load_encoders, part_names
from headlight.errors import HeadlightError
from headlight.features import Encoded, Progress, ViewsOf
from headlight.images import ImageSource
from headlight.review.model import GroupsModel, groups_model
from headlight.review.review import Review
from headlight.runs.embedding import IMPORTED, Where, here
from headlight.runs.files import atomic, without_formulas
from headlight.runs.run import Run
from headlight.runs.tables import assignment_columns

ROWS = 1024

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("cluster", pa.int32()),
        ("name", pa.string()),
        ("confidence", pa.float32()),
        ("second", pa.int32()),
        ("second_name", pa.string()),
        ("margin", pa.float32()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class Predicted:
    """What `predict_run` did.

    Arguments:
        assigned: images that are in a group now.
        none: images that belong to no group.
        unusable: images that could not be used.
        model: what assigned them.
    """

    assigned: int
    none: int
    unusable: int
    model: GroupsModel


def predict_run(
    run: Run,
    source: ImageSource,
    out: Path,
    device: str = "auto",
    progress: Progress | None = None,
    *,
    encoder: str | None = None,
    where: Where | None = None,
) -> Predicted:
    """Assign the images of ``source`` to the groups of ``run``, in batches of bounded memory.

    The groups are those of the review: see `headlight.review.model.groups_model`.

    Arguments:
        run: fitted.
        source: the new images.
        out: file to write, ``.parquet`` or ``.csv`` (in which text that a spreadsheet would run as
            a formula is prefixed with an apostrophe); replaced only when complete. Columns path;
            cluster, the number of the group; name; confidence; second and second_name, the next
            likely group; margin, by which it is less likely; error. An image that belongs to no
            group has only second and second_name, the group it is nearest to; one that can't be
            used only its path and the error.
        device: where the encoder runs.
        progress: called with the number of images done and their total.
        encoder: name of the run's encoder; required only if it is ``torch:``, which imports code.
        where: makes what encodes; None: this process does.

    Returns:
        How many images were assigned, and by which model.

    Raises:
        HeadlightError: there are no images, the weights are not those of the run, or the file name
            is wrong.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise HeadlightError(f"-o {out}: the name must end in .parquet or .csv")
    if out.is_dir():
        raise HeadlightError(f"-o {out} is a folder: give a file name")
    if source.count == 0:
        raise HeadlightError(f"no images in {source.uri}")
    if run.info.encoder.name.startswith(IMPORTED):
        raise HeadlightError(
            f"the features of {run.path} were precomputed, so new images can't be embedded "
            f"here: use groups_model(Review(load_run({str(run.path)!r}))).predict(features) in "
            "Python, all from headlight.review"
        )
    refuse_code(run, encoder)
    encoders = load_encoders(run.info.encoder.name)
    if encoders.weights_hash != run.info.encoder.weights:
        raise HeadlightError(
            f"the weights of encoder {encoders.name} are not those {run.path} was made with: "
            "embed and fit again"
        )
    encoding = (where or here)(encoders, device, "auto", run.info.encoder.engine)
    if encoding.engine != run.info.encoder.engine:
        warnings.warn(
            f"the features of the run were computed by {run.info.encoder.engine}, those of the new "
            f"images by {encoding.engine}: rounding differs, so images between two clusters may be "
            "assigned to the other one",
            stacklevel=2,
        )
    review = Review(run)
    model, names = groups_model(review), dict(review.names)
    stream = encoding.encode(source, source, ViewsOf(0, None, 1), None, ordered=True)
    assigned = none = unusable = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with closing(encoding), atomic(out) as temporary, _writer(out, temporary) as writer:
        while block := list(islice(stream, ROWS)):
            table = _predicted(block, model, names)
            writer.write_table(without_formulas(table) if out.suffix == ".csv" else table)
            good, bad = (len(table) - table[name].null_count for name in ("cluster", "error"))
            assigned, unusable = assigned + good, unusable + bad
            none += len(table) - good - bad
            if progress:
                progress(assigned + none + unusable, source.count)
    return Predicted(assigned, none, unusable, model)


def refuse_code(run: Run, encoder: str | None = None) -> None:
    """Keep a run folder from someone else from importing code.

    Raises:
        HeadlightError: the run's encoder imports code, and ``encoder`` does not name it.
    """
    own = run.info.encoder.name
    if encoder != own and any(part.strip().startswith("torch:") for part in part_names(own)):
        raise HeadlightError(
            f"the encoder of {run.path}, {own}, imports code: add --encoder {own} if you trust it"
        )


def _writer(out: Path, temporary: Path) -> pq.ParquetWriter | pyarrow.csv.CSVWriter:
    if out.suffix == ".csv":
        return pyarrow.csv.CSVWriter(temporary, SCHEMA)
    return pq.ParquetWriter(temporary, SCHEMA, compression="zstd")


def _predicted(block: list[Encoded], model: GroupsModel, names: Mapping[int, str]) -> pa.Table:
    good = [
        (i, one.features) for i, one in enumerate(block) if isinstance(one.features, np.ndarray)
    ]
    columns: dict[str, list] = {name: [None] * len(block) for name in SCHEMA.names}
    columns["path"] = [one.ref.path for one in block]
    columns["error"] = [
        None if isinstance(one.features, np.ndarray) else str(one.features) for one in block
    ]
    if good:
        places, features = [i for i, _ in good], np.stack([views[0] for _, views in good])
        for name, values in _group_columns(features, model, names).items():
            for i, value in zip(places, values, strict=True):
                columns[name][i] = value
    return pa.table(columns, schema=SCHEMA)


def _group_columns(
    features: np.ndarray, model: GroupsModel, names: Mapping[int, str]
) -> dict[str, list]:
    """The columns from cluster to margin, of images with features."""
    found = assignment_columns(model.probabilities(features))
    groups = np.array(model.groups)
    cluster, second = groups[found["cluster"]].tolist(), groups[found["second"]].tolist()
    confidence, margin = found["confidence"].tolist(), found["margin"].tolist()
    if len(groups) == 1:
        second, margin = [None] * len(second), confidence
    for i in np.flatnonzero(~model.belongs(features)).tolist():
        cluster[i], second[i] = None, cluster[i]
        confidence[i] = margin[i] = None
    return {
        "cluster": cluster,
        "name": [None if group is None else names[group] for group in cluster],
        "confidence": confidence,
        "second": second,
        "second_name": [None if group is None else names[group] for group in second],
        "margin": margin,
    }
