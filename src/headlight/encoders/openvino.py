"""Encoding on the CPU with OpenVINO: asynchronous requests keep every core busy."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from headlight.encoders.base import Encoder
from headlight.encoders.engine import Engine, cpu_count

# On import OpenVINO reports its use to a web service, from a forked process. We stay offline.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402


class OpenVINOEngine(Engine):
    """One image a request, one stream a core.

    Requests of one image are as fast as larger ones here (measured: `docs/performance.md`), and
    make an image's features independent of its neighbours in a batch. Arithmetic is bfloat16
    where the CPU has it, float32 elsewhere.

    Arguments:
        encoder: what to run.
    """

    def __init__(self, encoder: Encoder) -> None:
        core = ov.Core()
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = "bf16" if "BF16" in capabilities else "f32"
        self.name = f"openvino-{precision}"
        cores = cpu_count()
        self._model = core.compile_model(
            _converted(encoder, core),
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "NUM_STREAMS": cores,
                "INFERENCE_NUM_THREADS": cores,
                "INFERENCE_PRECISION_HINT": precision,
            },
        )
        self._requests = 2 * cores

    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Engine.encode`."""
        idle = deque(self._model.create_infer_request() for _ in range(self._requests))
        running: deque[Any] = deque()
        for image in images:
            if not idle:
                request = running.popleft()
                yield _result(request)
                idle.append(request)
            request = idle.popleft()
            request.start_async({0: image[None]})
            running.append(request)
        while running:
            yield _result(running.popleft())


def _result(request: Any) -> np.ndarray:
    request.wait()
    return request.get_output_tensor(0).data[0].copy()


def _converted(encoder: Encoder, core: ov.Core) -> ov.Model:
    """The encoder as an OpenVINO model, kept on disk: converting takes seconds, reading doesn't."""
    key = f"{encoder.name}:{encoder.weights_hash}:{encoder.input_size}:{ov.__version__}:1"
    folder = user_cache_path("headlight") / "openvino"
    file = folder / f"{encoder.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.xml"
    if file.exists() and file.with_suffix(".bin").exists():
        return core.read_model(file)
    model = _convert(encoder)
    with contextlib.suppress(OSError, RuntimeError):  # without the cache it costs seconds
        _save(model, file)
    return model


def _convert(encoder: Encoder) -> ov.Model:
    import torch

    shape = (1, encoder.input_size, encoder.input_size, 3)
    with torch.no_grad():
        model = ov.convert_model(encoder.build(), example_input=torch.zeros(shape).byte())
    model.reshape(list(shape))
    return model


def _save(model: ov.Model, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        ov.save_model(model, Path(folder) / file.name, compress_to_fp16=False)
        # The weights first: whoever finds the .xml finds them.
        for suffix in (".bin", ".xml"):
            (Path(folder) / file.name).with_suffix(suffix).replace(file.with_suffix(suffix))
