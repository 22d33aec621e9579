"""Runs written by hand: folders as a fit leaves them, without an encoder or training."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from headlight.runs import Run, load_run
from headlight.runs.files import FITS, digest, write_table
from headlight.runs.info import EncoderInfo, FitInfo, RunInfo, SourceInfo, Timing, write_record
from headlight.runs.tables import PROTOTYPES

FIT = "0123456789abcdef"


def handmade_run(
    folder: Path,
    source: Path | str,
    clusters: Mapping[str, Sequence[str]],
    quarantine: Sequence[tuple[str, str]] = (),
    labels: Mapping[str, str] | None = None,
) -> Run:
    """A run whose clusters are given: name → paths of its images."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, table = [], []
    for k, (name, paths) in enumerate(clusters.items()):
        confidence = np.linspace(0.95, 0.3, len(paths)).astype(np.float32)
        rows += [
            (path, k, c, (k + 1) % len(clusters), c - 0.02, 0.1, 0.0, float(k))
            for path, c in zip(paths, confidence.tolist(), strict=True)
        ]
        table.append(
            {
                "cluster": k,
                "name": name,
                "size": len(paths),
                "mean_confidence": float(confidence.mean()) if len(paths) else None,
                "prototypes": list(paths[:PROTOTYPES]),
                "nearest": [j for j in range(min(4, len(clusters))) if j != k][:3],
            }
        )
    kinds = {
        "path": pa.string(),
        "cluster": pa.int32(),
        "confidence": pa.float32(),
        "second": pa.int32(),
        "margin": pa.float32(),
        "outlier_score": pa.float32(),
        "map_x": pa.float32(),
        "map_y": pa.float32(),
    }
    rows.sort(key=lambda row: row[0].encode())
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(c, t) for c, t in zip(columns, kinds.values(), strict=True)]
    place = folder / FITS / FIT
    place.mkdir(parents=True, exist_ok=True)
    write_table(place / "assignments.parquet", pa.table(arrays, names=list(kinds)))
    schema = pa.schema(
        [
            ("cluster", pa.int32()),
            ("name", pa.string()),
            ("size", pa.int64()),
            ("mean_confidence", pa.float32()),
            ("prototypes", pa.list_(pa.string())),
            ("nearest", pa.list_(pa.int32())),
        ]
    )
    write_table(place / "clusters.parquet", pa.Table.from_pylist(table, schema=schema))
    shutil.copytree(place, folder, dirs_exist_ok=True)  # as a fit leaves copies at the top
    bad = {"path": [p for p, _ in quarantine], "error": [e for _, e in quarantine]}
    schema = pa.schema([("path", pa.string()), ("error", pa.string())])
    write_table(folder / "quarantine.parquet", pa.table(bad, schema=schema))
    if labels:
        known = {"path": list(labels), "label": list(labels.values())}
        write_table(folder / "labels.parquet", pa.table(known))
    uri = source if isinstance(source, str) else str(source.resolve())
    info = RunInfo(
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        source=SourceInfo(uri=uri, images=len(rows), quarantined=len(quarantine)),
        encoder=EncoderInfo(
            name="lite0",
            weights="ab" * 32,
            dim=1280,
            views=2,
            view_images=4000,
            engine="openvino-bf16",
            device="auto",
            precision="auto",
        ),
        versions={"headlight-images": "0.1.0", "torch": "2.9.0"},
        timings={
            "embed": Timing(images=len(rows), seconds=0.5),
            "fit": Timing(seconds=131.0),
        },
        fit=FitInfo(
            id=FIT,
            images=len(rows),
            asked=len(clusters),
            recipe="robust",
            seed=7,
            device="auto",
            n_clusters=len(clusters),
            mean_confidence=0.6,
            graph_information=1.0,
            features="0" * 64,
            files={file.name: digest(file) for file in place.glob("*.parquet")},
        ),
    )
    write_record(folder / "run.json", info)
    write_record(place / "fit.json", info.fit)
    return load_run(folder)


def handmade_fit(run: Run, fit: str, clusters: Mapping[str, Sequence[str]]) -> Run:
    """The run with one more fit, which is the current one; see `handmade_run`."""
    with tempfile.TemporaryDirectory() as folder:
        other = handmade_run(Path(folder), run.info.source.uri, clusters)
        place = run.path / FITS / fit
        shutil.copytree(other.path / FITS / FIT, place)
    assert other.info.fit
    record = other.info.fit.model_copy(update={"id": fit})
    write_record(place / "fit.json", record)
    write_record(run.path / "run.json", run.info.model_copy(update={"fit": record}))
    return load_run(run.path)


def replace_assignments(
    run: Run, table: pa.Table, name: Literal["assignments", "clusters"] = "assignments"
) -> Run:
    """The run with another table of its images, or of its clusters."""
    file = run.file(f"{name}.parquet")
    write_table(file, table)
    files = run.fit.files | {file.name: digest(file)}
    fit = run.fit.model_copy(update={"files": files})
    write_record(run.path / "run.json", run.info.model_copy(update={"fit": fit}))
    return load_run(run.path)
