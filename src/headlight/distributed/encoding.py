"""Encoding on a Ray cluster: Ray Data hands shards of images to actors; this process commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from headlight.distributed.cluster import connected
from headlight.encoders import Encoders, load_encoders
from headlight.engines import Engine, engine_name, engines_like, make_engines
from headlight.errors import HeadlightError, first_line
from headlight.features import Encoded, Encoding, Known, ViewsOf, encode
from headlight.images import BadImage, ImageRef, ImageSource, open_source

# Images of a shard: what an actor takes at once, and at most what a dead one has done in vain.
SHARD = 64
# Images handed to Ray Data at once: it keeps all that is still to be done in memory, some hundred
# bytes each, and its actors start anew for the next ones.
WAVE = 1_000_000
SHARDS = pa.schema(
    [
        ("path", pa.string()),
        ("id", pa.int64()),
        ("stamp", pa.int64()),
        ("problem", pa.string()),
    ]
)
ENCODED = pa.schema(
    [
        *SHARDS,
        ("content", pa.binary()),
        ("features", pa.binary()),  # float16, view after view
        ("reason", pa.string()),  # why there are none
    ]
)


def on_ray(address: str) -> Callable[..., RayEncoding]:
    """What `headlight.runs.embed_run` takes as ``where``: encoding on a Ray cluster.

    Arguments:
        address: ``local``, ``auto``, or where a cluster is; see `connected`.
    """
    return lambda *given: RayEncoding(address, *given)


class RayEncoding(Encoding):
    """Encoding by actors of a Ray cluster, one a GPU, or one a machine where there are none.

    An actor reads, decodes and encodes the images of a shard: pixels never leave the machine. Ray
    starts actors again that end, and gives their shards to others. Shards come back in any order,
    and are committed where this object is used, exactly once; if that process ends, what was
    committed stays, and the next run goes on from there.

    Every machine needs headlight, and the source and the encoder at the same place.

    Arguments:
        address: see `connected`.
        encoders: what to run.
        device, precision: see `headlight.engines.make_engine`.
        before: name of the engine whose arithmetic is wanted if it can be had; None: any.

    Raises:
        HeadlightError: no cluster, or its machines can't run the encoder.
    """

    def __init__(
        self, address: str, encoders: Encoders, device: str, precision: str, before: str | None
    ) -> None:
        self._stack = ExitStack()
        self._stack.enter_context(connected(address))
        try:
            self._dim = encoders.dim
            self._count, self._needs = _resources(device)
            wanted = _Arithmetic(encoders.name, encoders.weights_hash, device, precision, before)
            self.engine = _asked(self._needs, wanted)
            self._arithmetic = replace(wanted, precision="auto", engine=self.engine)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the cluster; one that was started for this ends."""
        self._stack.close()

    def encode(
        self,
        source: ImageSource,
        refs: Iterable[ImageRef],
        views: ViewsOf,
        known: Known | None,
        *,
        ordered: bool = False,
    ) -> Iterator[Encoded]:
        """See `Encoding.encode`.

        Raises:
            HeadlightError: a machine can't read the source, or computes other features.
        """
        import ray
        from ray.data import ActorPoolStrategy

        stream = iter(refs)
        while wave := list(islice(stream, WAVE)):
            tables = [_table(wave[i : i + SHARD]) for i in range(0, len(wave), SHARD)]
            data: Any = ray.data.from_arrow(tables)
            shards = data.map_batches(
                _Encoder,
                fn_constructor_args=(source.uri, self._arithmetic, views),
                batch_size=None,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=self._count),
                **self._needs,
            )
            quiet = shards.context
            quiet.enable_progress_bars = False
            quiet.execution_options.preserve_order = ordered
            try:
                for table in shards.iter_batches(batch_size=None, batch_format="pyarrow"):
                    yield from _encoded(table, self._dim, known)
            except ray.exceptions.RayError as error:
                raise _said(error) from error


@dataclass(frozen=True)
class _Arithmetic:
    """What an actor computes with.

    Arguments:
        encoder: its name; weights: their hash.
        device, precision: see `headlight.engines.make_engine`.
        engine: name of the engine whose arithmetic is wanted if it can be had; None: any.
    """

    encoder: str
    weights: str
    device: str
    precision: str
    engine: str | None

    def load(self) -> tuple[Encoders, list[Engine]]:
        encoders = load_encoders(self.encoder)
        if encoders.weights_hash != self.weights:
            raise HeadlightError(
                f"{self.encoder}: its weights on a machine of the cluster are other ones"
            )
        # Ray shows each actor its own GPU only.
        device = "cuda" if self.device.startswith("cuda") else self.device
        if self.precision == "auto" and self.engine:
            return encoders, engines_like(encoders, self.engine, device)
        return encoders, make_engines(encoders, device, self.precision)


class _Encoder:
    """In an actor: encodes shards."""

    def __init__(self, uri: str, arithmetic: _Arithmetic, views: ViewsOf) -> None:
        self._source, self._views = open_source(uri), views
        self._encoders, self._engines = arithmetic.load()
        if (mine := engine_name(self._engines)) != arithmetic.engine:
            raise HeadlightError(
                f"the machines of the cluster differ: one computes by {arithmetic.engine}, another "
                f"by {mine}, which rounds differently; give --device and --precision that all have"
            )

    def __call__(self, shard: pa.Table) -> pa.Table:
        refs = [ImageRef(*row.values()) for row in shard.select(SHARDS.names).to_pylist()]
        rows = [
            (*one.ref, one.content, *_packed(one.features))
            for one in encode(self._source, refs, self._encoders, self._engines, self._views)
        ]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(ENCODED)
        return pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, ENCODED, strict=True)], schema=ENCODED
        )


def _table(refs: list[ImageRef]) -> pa.Table:
    columns = zip(*refs, strict=True)
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, SHARDS, strict=True)], schema=SHARDS
    )


def _packed(features: np.ndarray | BadImage | None) -> tuple[bytes | None, str | None]:
    if isinstance(features, np.ndarray):
        return features.tobytes(), None
    return None, str(features)


def _encoded(table: pa.Table, dim: int, known: Known | None) -> Iterator[Encoded]:
    """What became of the images of a shard; of those with a known content the features are left
    out, as `StoreUpdate` wants it."""
    for row in table.to_pylist():
        ref, content = ImageRef(*(row[name] for name in SHARDS.names)), row["content"]
        if row["reason"] is not None:
            yield Encoded(ref, content, BadImage(row["reason"]))
        elif known and known(ref, content):
            yield Encoded(ref, content, None)
        else:
            features = np.frombuffer(row["features"], np.float16).reshape(-1, dim)
            yield Encoded(ref, content, features)


def _resources(device: str) -> tuple[int, dict[str, float]]:
    """Actors that the cluster has room for, and what each one needs."""
    import ray

    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in found))
    if gpus and device != "cpu":
        return gpus, {"num_gpus": 1}
    cores = [int(node["CPU"]) for node in found if node.get("CPU", 0) >= 1]
    if not cores:
        raise HeadlightError("the machines of the Ray cluster have no CPUs to give")
    # As many cores as the smallest machine has: an actor runs on all of them.
    return sum(count // min(cores) for count in cores), {"num_cpus": min(cores)}


def _asked(needs: dict[str, float], wanted: _Arithmetic) -> str:
    """The name of the engine of an actor: another machine may have other processors than this."""
    import ray

    def asked() -> str:
        return engine_name(wanted.load()[1])

    given: Any = needs
    remote: Any = ray.remote(**given)
    try:
        return str(ray.get(remote(asked).remote()))
    except ray.exceptions.RayError as error:
        raise _said(error) from error


def _said(error: BaseException) -> HeadlightError:
    """What went wrong on another machine, in a sentence."""
    # Ray has a traceback as text where an actor could not begin, and the error itself elsewhere.
    own = f"{HeadlightError.__module__}.{HeadlightError.__name__}: "
    told = [line.partition(own)[2] for line in str(error).splitlines() if own in line]
    if told:
        return HeadlightError(f"on a machine of the Ray cluster: {told[-1]}")
    return HeadlightError(f"the Ray cluster gave up: {first_line(error)}; the same command resumes")
