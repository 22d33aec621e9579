"""New images into the clusters of a run."""

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
from headlight.engines import engine_name, make_engines
from headlight.errors import HeadlightError
from headlight.features import Progress, encode
from headlight.images import BadImage, ImageRef, ImageSource
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
    """Assigns the images of ``source`` to the clusters of ``run``; memory is bounded by the batch.

    Arguments:
        run: fitted.
        source: the new images.
        out: file to write, ``.parquet``, or ``.csv``, in which text that a spreadsheet would run
            as a formula gets an apostrophe in front; replaced only when complete. Columns path,
            cluster, confidence, second, margin, error; an image that can't be used has only its
            path and the error.
        device: where the encoder runs.
        progress: told the number of images done and their total.
        encoder: the run's own; required only if it is ``torch:``, which imports code.

    Returns:
        Images assigned, and images that could not be used.

    Raises:
        HeadlightError: nothing to predict, other weights than the run's, or a wrong file name.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise HeadlightError(f"-o {out}: the name must end in .parquet or .csv")
    if out.is_dir():
        raise HeadlightError(f"-o {out} is a folder: give a file name")
    if source.count == 0:
        raise HeadlightError(f"no images in {source.uri}")
    model = run.model
    if run.info["encoder"]["encoder"].startswith(IMPORTED):
        raise HeadlightError(
            f"the features of {run.path} were made elsewhere, so new images can't be embedded "
            f"here: use load_run({str(run.path)!r}).model.predict(features) in Python"
        )
    refuse_code(run, encoder)
    encoders = load_encoders(run.info["encoder"]["encoder"])
    if encoders.weights_hash != run.info["encoder"]["weights"]:
        raise HeadlightError(
            f"the weights of encoder {encoders.name} are not those {run.path} was made with: "
            "embed and fit again"
        )
    # The run's own arithmetic where this machine has it: rounding moves images between clusters.
    arithmetic = {name.rpartition("-")[2] for name in run.info["encoder"]["engine"].split("+")}
    one = arithmetic.pop() if len(arithmetic) == 1 else "auto"
    try:
        engines = make_engines(encoders, device, one)
    except HeadlightError:
        engines = make_engines(encoders, device)
    before = run.info["encoder"]["engine"]
    if (now := engine_name(engines)) != before:
        warnings.warn(
            f"the run's features were made with {before}, and this machine predicts with {now}: "
            "rounding differs, so an image between two clusters may get the other one",
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
    """Keeps a run folder, perhaps a stranger's, from having code imported.

    Raises:
        HeadlightError: its encoder imports code, and the user has not named the same ``encoder``.
    """
    own = run.info["encoder"]["encoder"]
    if encoder != own and any(part.strip().startswith("torch:") for part in part_names(own)):
        raise HeadlightError(
            f"the encoder of {run.path}, {own}, imports code: add --encoder {own} if you trust it"
        )


def _writer(out: Path, temporary: Path) -> pq.ParquetWriter | pyarrow.csv.CSVWriter:
    if out.suffix == ".csv":
        return pyarrow.csv.CSVWriter(temporary, SCHEMA)
    return pq.ParquetWriter(temporary, SCHEMA, compression="zstd")


def _predicted(block: list[tuple[ImageRef, np.ndarray | BadImage]], model: SCP) -> pa.Table:
    good = [(i, f) for i, (_, f) in enumerate(block) if not isinstance(f, BadImage)]
    columns: dict[str, list] = {name: [None] * len(block) for name in SCHEMA.names}
    columns["path"] = [ref.path for ref, _ in block]
    columns["error"] = [str(f) if isinstance(f, BadImage) else None for _, f in block]
    if good:
        probabilities = model.predict_proba(np.stack([f for _, f in good]))
        for name, values in assignment_columns(probabilities).items():
            for (i, _), value in zip(good, values.tolist(), strict=True):
                columns[name][i] = value
    return pa.table(columns, schema=SCHEMA)
