"""From a source to a run folder with features."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from headlight.counts import counted
from headlight.encoders import Encoders, load_encoders
from headlight.engines import engines_like, make_engines
from headlight.errors import HeadlightError
from headlight.features import (
    EmbedReport,
    Encoding,
    EncodingHere,
    FeatureFile,
    FeatureStore,
    Progress,
    StoreSettings,
    embed_source,
    import_features,
)
from headlight.images import ImageSource
from headlight.runs.files import write_table
from headlight.runs.info import EncoderInfo, RunInfo, SourceInfo, Timing, write_record
from headlight.runs.relocating import refuse_other_source
from headlight.runs.run import FEATURES, INFO, Run, load_run, locked

# `--encoder features:FILE`: made elsewhere, and only taken over.
IMPORTED = "features:"
PACKAGES = ("headlight-images", "torch", "numpy", "openvino", "pylance", "pillow", "scikit-learn")


def embed_run(
    source: ImageSource,
    path: Path,
    *,
    encoder: str = "lite0",
    views: int = 2,
    view_images: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    where: Where | None = None,
    progress: Progress | None = None,
) -> tuple[Run, EmbedReport]:
    """Compute the features of ``source`` in the run folder ``path``, or resume.

    Arguments:
        source: the images.
        path: the run folder; created if needed.
        encoder: its name, or several joined by ``+``; or ``features:FILE``, see `FeatureFile`.
        views: augmented views per image, besides the plain one; 0 or more. A file of features has
            its own.
        view_images: about how many images get augmented views, a random sample; None: all.
        device, precision: see `headlight.engines.make_engine`; a run that is resumed keeps its
            arithmetic unless another is given.
        where: makes what encodes; None: this process does.
        progress: called with the number of images done and their total.

    Returns:
        The run, and a report of what was done.

    Raises:
        HeadlightError: no image is usable, or the folder is not a run with these settings.
    """
    if views < 0:
        raise HeadlightError(f"--views {views}: give 0 or more augmented views")
    if view_images is not None and view_images < 0:
        raise HeadlightError(f"--view-images {view_images}: give 0 or more images")
    refuse_foreign(path)
    refuse_other_source(path, source)
    if source.count == 0:
        others = f" among its {counted(source.others, 'file')}" if source.others else ""
        raise HeadlightError(f"no images in {source.uri}{others}")
    with ExitStack() as stack:
        if encoder.startswith(IMPORTED):
            wanted, work = _importing(source, encoder)
        else:
            encoders, folder = load_encoders(encoder), path / FEATURES
            had = FeatureStore.open(folder).settings.engine if folder.exists() else None
            encoding = (where or here)(encoders, device, precision, had)
            stack.callback(encoding.close)
            wanted = _settings(source, encoders, encoding.engine, views, view_images)
            work = partial(embed_source, source, encoding=encoding)
        path.mkdir(parents=True, exist_ok=True)
        with locked(path):
            store = _store(path, wanted)
            started = time.perf_counter()
            report = work(store=store, progress=progress)
            seconds = time.perf_counter() - started
            quarantine = pa.table(
                {
                    "path": pa.array([p for p, _ in report.quarantine], pa.string()),
                    "error": pa.array([e for _, e in report.quarantine], pa.string()),
                }
            )
            write_table(path / "quarantine.parquet", quarantine)
            images = len(store)
            if images == 0:
                first, why = report.quarantine[0]
                raise HeadlightError(
                    f"no usable image in {source.uri}: {first}: {why}"
                    + (f"; reasons of all {source.count:,} are in {path / 'quarantine.parquet'}")
                    * (source.count > 1)
                )
            former = load_run(path).info if (path / INFO).exists() else None
            timings = dict(former.timings) if former else {}
            if encoded := report.added + report.changed:
                before = timings.get("embed", Timing(images=0, seconds=0))
                timings["embed"] = Timing(
                    images=(before.images or 0) + encoded,
                    seconds=round(before.seconds + seconds, 2),
                )
            settings = store.settings
            info = RunInfo(
                created=former.created if former else datetime.now(UTC).replace(microsecond=0),
                source=SourceInfo(
                    uri=source.uri, images=images, quarantined=len(report.quarantine)
                ),
                encoder=EncoderInfo(
                    name=settings.encoder,
                    weights=settings.weights,
                    dim=settings.dim,
                    dims=tuple(settings.dims),
                    views=settings.views,
                    view_images=settings.view_images,
                    engine=settings.engine,
                    device=device,
                    precision=precision,
                ),
                versions={name: version(name) for name in PACKAGES},
                timings=timings,
                fit=former.fit if former else None,
            )
            write_record(path / INFO, info)
    return load_run(path), report


Work = Callable[..., EmbedReport]
"""Fills ``store``, and reports to ``progress``."""


Where = Callable[[Encoders, str, str, str | None], Encoding]
"""Makes what encodes, given the encoders, device, precision, and the engine of the features that
there are already."""


def here(encoders: Encoders, device: str, precision: str, before: str | None) -> Encoding:
    """Encoding in this process; rounding as before unless a precision is asked for."""
    if precision == "auto" and before:
        return EncodingHere(encoders, engines_like(encoders, before, device))
    return EncodingHere(encoders, make_engines(encoders, device, precision))


def _settings(
    source: ImageSource, encoders: Encoders, engine: str, views: int, view_images: int | None
) -> StoreSettings:
    return StoreSettings(
        source=source.uri,
        encoder=encoders.name,
        weights=encoders.weights_hash,
        dim=encoders.dim,
        views=views,
        engine=engine,
        dims=encoders.dims if len(encoders.parts) > 1 else (),
        view_images=view_images,
    )


def _importing(source: ImageSource, encoder: str) -> tuple[StoreSettings, Work]:
    """Views are those of the file."""
    file = FeatureFile(Path(encoder.removeprefix(IMPORTED)).absolute())
    settings = StoreSettings(
        source=source.uri,
        encoder=f"{IMPORTED}{file.path}",
        weights=file.hash,
        dim=file.dim,
        views=file.views - 1,
        engine="file",
    )
    return settings, partial(import_features, source, file=file)


def refuse_foreign(path: Path) -> None:
    """A folder that is neither new, nor empty, nor a run may be the user's data: refuse it.

    Raises:
        HeadlightError: ``path`` is such a folder, or a file.
    """
    if path.exists() and not path.is_dir():
        raise HeadlightError(f"{path} is a file, not a run folder: choose another -o")
    if not path.is_dir() or (path / INFO).exists() or (path / FEATURES).exists():
        return
    if any(not child.name.startswith(".") for child in path.iterdir()):
        raise HeadlightError(f"{path} exists and is not a run of headlight: choose another -o")


def _store(path: Path, wanted: StoreSettings) -> FeatureStore:
    folder = path / FEATURES
    if not folder.exists():
        return FeatureStore.create(folder, wanted)
    store = FeatureStore.open(folder)
    if store.settings.engine != wanted.engine and not len(store):  # killed before the first commit
        shutil.rmtree(folder)
        return FeatureStore.create(folder, wanted)
    if differences := store.settings.differences(wanted):
        raise HeadlightError(
            f"{path} already holds features with {'; '.join(differences)}: choose another -o, "
            "or use the earlier settings"
        )
    return store
