"""Assigns new images to the clusters of a run."""

from __future__ import annotations

import warnings
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from headlight.encoders import load_encoders, part_names
from headlight.engines import engine_name, engines_like
from headlight.errors import HeadlightError
from headlight.features import Encoded, Progress, encode
from headlight.images import ImageSource
from headlight.runs.embedding import IMPORTED
from headlight.runs.files import atomic, without_formulas
from headlight.runs.run import Run
from headlight.runs.tables import assignment_columns

if TYPE_CHECKING:
    from headlight.clustering import SCP

ROWS = 1024

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("cluster", pa.int32()),
        ("confidence", pa.float32()),
        ("second", pa.int32()),
        ("margin", pa.float32()),
        ("error", pa.string()),
    ]
)


def predict_run(
    run: Run,
    source: ImageSource,
    out: Path,
    device: str = "auto",
    progress: Progress | None = None,
    *,
    encoder: str | None = None,
) -> tuple[int, int]:
    """Assign the images of ``source`` to the clusters of ``run``, in batches of bounded memory.

    Arguments:
        run: fitted.
        source: the new images.
        out: file to write, ``.parquet`` or ``.csv`` (in which text that a spreadsheet would run as
            a formula is prefixed with an apostrophe); replaced only when complete. Columns path,
            cluster, confidence, second, margin, error; images that can't be used have only their
            path and the error.
        device: where the encoder runs.
        progress: called with the number of images done and their total.
        encoder: name of the run's encoder; required only if it is ``torch:``, which imports code.

    Returns:
        The number of images assigned, and of images that could not be used.

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
    model = run.model
    if run.info.encoder.name.startswith(IMPORTED):
        raise HeadlightError(
            f"the features of {run.path} were precomputed, so new images can't be embedded "
            f"here: use load_run({str(run.path)!r}).model.predict(features) in Python"
        )
    refuse_code(run, encoder)
    encoders = load_encoders(run.info.encoder.name)
    if encoders.weights_hash != run.info.encoder.weights:
        raise HeadlightError(
            f"the weights of encoder {encoders.name} are not those {run.path} was made with: "
            "embed and fit again"
        )
    engines = engines_like(encoders, run.info.encoder.engine, device)
    if (name := engine_name(engines)) != run.info.encoder.engine:
        warnings.warn(
            f"the features of the run were computed by {run.info.encoder.engine}, those of "
            f"the new images by {name}: rounding differs, so images between two clusters may be "
            "assigned to the other one",
            stacklevel=2,
        )
    stream = encode(source, source, encoders, engines, lambda _: 0)
    good = bad = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic(out) as temporary, _writer(out, temporary) as writer:
        while block := list(islice(stream, ROWS)):
            table = _predicted(block, model)
            writer.write_table(without_formulas(table) if out.suffix == ".csv" else table)
            bad += table["cluster"].null_count
            good += len(table) - table["cluster"].null_count
            if progress:
                progress(good + bad, source.count)
    return good, bad


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


def _predicted(block: list[Encoded], model: SCP) -> pa.Table:
    good = [
        (i, one.features) for i, one in enumerate(block) if isinstance(one.features, np.ndarray)
    ]
    columns: dict[str, list] = {name: [None] * len(block) for name in SCHEMA.names}
    columns["path"] = [one.ref.path for one in block]
    columns["error"] = [
        None if isinstance(one.features, np.ndarray) else str(one.features) for one in block
    ]
    if good:
        probabilities = model.predict_proba(np.stack([f for _, f in good]))
        for name, values in assignment_columns(probabilities).items():
            for (i, _), value in zip(good, values.tolist(), strict=True):
                columns[name][i] = value
    return pa.table(columns, schema=SCHEMA)
