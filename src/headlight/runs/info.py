"""``run.json`` and ``fit.json``: what a run is of and how it was made, typed and checked."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from headlight.errors import HeadlightError, first_line
from headlight.runs.files import write_json

FORMAT = 2
CHECKSUM = "checksum"

FitId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]  # the name of a folder, so no path
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """A part of the file; unknown members and values of another type are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class SourceInfo(Record):
    """Where the images are, how many are used, and how many could not be."""

    uri: str
    images: PositiveInt
    quarantined: NonNegativeInt


class EncoderInfo(Record):
    """What computed the features: see `headlight.features.StoreSettings`, and the options given."""

    name: str
    weights: str
    dim: PositiveInt
    dims: tuple[PositiveInt, ...] = ()
    views: NonNegativeInt
    view_images: NonNegativeInt | None = None
    engine: str
    device: str
    precision: str


class FitInfo(Record):
    """One fit: what was asked, what came of it, of which features, and the SHA-256 of its files.

    ``asked`` is K or ``auto``; ``n_clusters_range``, ``n_clusters_levels`` (numbers of
    clusters, best first) and ``n_clusters_curve`` (numbers tried, and their scores) are those of
    `headlight.clustering.levels.ClusterEstimate`, of ``auto`` only. ``features`` is that of
    `headlight.runs.features.features_digest`. ``groups`` has the number of the cluster of each of
    the head's outputs; None: they are counted from 0. ``review`` is the fit that began the review
    whose edits apply to this one, too, None: itself; ``next_group`` the first number that no
    cluster of that review had when this fit was made; ``base`` the fit that an update began with.
    ``former`` and ``series`` name an earlier fit whose edits were set aside.
    """

    id: FitId
    images: PositiveInt
    asked: PositiveInt | Literal["auto"]
    recipe: Literal["paper", "robust"]
    seed: int
    device: str
    n_clusters: PositiveInt
    mean_confidence: float
    graph_information: float
    encoders_left_out: tuple[str, ...] = ()
    n_clusters_range: tuple[PositiveInt, PositiveInt] | None = None
    n_clusters_levels: tuple[PositiveInt, ...] = ()
    n_clusters_curve: tuple[tuple[PositiveInt, float], ...] = ()
    groups: tuple[NonNegativeInt, ...] | None = None
    review: FitId | None = None
    next_group: NonNegativeInt | None = None
    base: FitId | None = None
    former: FitId | None = None
    series: NonNegativeInt | None = None
    features: Digest
    files: dict[str, Digest]

    @property
    def review_id(self) -> FitId:
        """What edits of this fit are filed under."""
        return self.review or self.id


class Timing(Record):
    """Seconds that a stage took, and how many images it was for where that matters."""

    seconds: NonNegativeFloat
    images: NonNegativeInt | None = None


class RunInfo(Record):
    """The content of ``run.json``; ``fit`` is None until there is one."""

    format: Literal[2] = 2
    created: AwareDatetime
    source: SourceInfo
    encoder: EncoderInfo
    versions: dict[str, str]
    timings: dict[Literal["embed", "fit", "map"], Timing] = {}
    fit: FitInfo | None = None

    def plain(self) -> dict[str, object]:
        """As JSON has it."""
        return self.model_dump(mode="json", exclude_none=True)


R = TypeVar("R", bound=Record)


def write_record(path: Path, record: Record) -> None:
    """Write a record with its checksum, atomically."""
    data = record.model_dump(mode="json", exclude_none=True)
    write_json(path, data | {CHECKSUM: _checksum(_canonical(data))})


def read_record(path: Path, kind: type[R], remedy: str) -> R:
    """Read what `write_record` wrote; a file without a checksum is taken as it is.

    Arguments:
        path: the file.
        kind: what it holds.
        remedy: what to do if it is damaged, for the sentence.

    Raises:
        HeadlightError: it is damaged, was changed, or holds something else.
        FileNotFoundError: it isn't there.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        if not isinstance(data, dict):
            raise ValueError("no JSON object")
        found = data.pop(CHECKSUM, None)
        text = _canonical(data)
        version = data.get("format", FORMAT)
        if kind is RunInfo and isinstance(version, int) and version != FORMAT:
            raise HeadlightError(
                f"{path.parent} has format {version}, this headlight reads {FORMAT}: "
                + ("update headlight" if version > FORMAT else "cluster again, with another -o")
            )
        record = kind.model_validate_json(text)
    except FileNotFoundError:
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise HeadlightError(f"{path} is damaged ({where}: {first['msg']}): {remedy}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise HeadlightError(f"{path} is damaged ({first_line(error)}): {remedy}") from error
    if found is not None and found != _checksum(text):
        raise HeadlightError(
            f"{path} is not as headlight wrote it: if you changed it and mean it, delete its line "
            f'"{CHECKSUM}"; else {remedy}'
        )
    return record


def _canonical(data: dict[str, object]) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
