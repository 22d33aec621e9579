"""Encoders as compiled OpenVINO models: converted and checked once, then cached on disk."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headlight.encoders.base import Encoder
from headlight.encoders.offline_openvino import ov
from headlight.engines.base import Unsupported, cpu_count
from headlight.engines.conversion_cache import ModelCache
from headlight.engines.probe import fault, probe_images, reference_features
from headlight.errors import HeadlightError

ROUNDS = 3  # of timing, on all probe images
ENOUGH = 3.0  # seconds of timing
SMALL = 0.9  # float32 is taken unless another arithmetic needs less than this share of its time


def compiled_encoder(encoder: Encoder, precision: str = "auto") -> tuple[Any, str]:
    """The encoder compiled for the CPU, for one image (1, size, size, 3) uint8 per request.

    The first time it is converted, compared with PyTorch on `probe_images`, and timed: in bfloat16
    where the processor has it, and in float32. The fastest that is right is taken. The verdict is
    kept beside the converted model, so that the next time PyTorch's network isn't even built.

    Arguments:
        encoder: what to run.
        precision: ``auto``, as above; ``f32``; or ``bf16``, which is refused where the processor
            lacks it.

    Returns:
        OpenVINO's compiled model, and its arithmetic: ``bf16`` or ``f32``.

    Raises:
        Unsupported: it can't be converted or compiled, or gives other features than PyTorch.
        HeadlightError: the encoder itself can't be loaded, or not in this precision.
    """
    core = ov.Core()
    if precision not in ("auto", *_precisions(core)):
        raise HeadlightError(f"--precision {precision}: this processor does not support it")
    kept = ModelCache(encoder, core)
    # The user's own code may have changed while names and weights are the same.
    verdict = None if encoder.name.startswith("torch:") else kept.verdict(precision)
    if verdict is not None:
        if why := verdict.get("fault"):
            raise Unsupported(why)
        with contextlib.suppress(RuntimeError):  # damaged on disk: make it again
            chosen = verdict["precision"]
            return _compile(core, kept.model, chosen, kept.blobs(chosen)), chosen
    return _make(encoder, core, kept, precision)


def _make(encoder: Encoder, core: ov.Core, kept: ModelCache, asked: str) -> tuple[Any, str]:
    images = probe_images(encoder.input_size)
    network = None if encoder.convert else encoder.build()
    try:
        model = encoder.convert() if encoder.convert else _convert(network, encoder.input_size)
        model.reshape([1, *images.shape[1:]])
    except HeadlightError:
        raise
    except Exception as error:  # tracing runs the network's own code: anything may come
        raise Unsupported(f"OpenVINO can't convert it ({_reason(error)})") from error
    expected = None if network is None else reference_features(network, images)
    source: ov.Model | Path = model
    with contextlib.suppress(OSError, RuntimeError):  # without the cache it costs seconds
        kept.save(model)
        source = kept.model  # memory-mapped: the converted copy can go
        del model, network
    why, compiles = "", True
    right: dict[str, Any] = {}
    for precision in _precisions(core) if asked == "auto" else (asked,):
        try:
            compiled = _compile(core, source, precision, kept.blobs(precision))
            found = np.stack(list(encoded(compiled, images)))
        except RuntimeError as error:
            why, compiles = f"OpenVINO can't run it in {precision} ({_reason(error)})", False
            continue
        wrong = fault(found, expected, precision)
        if wrong:
            why = f"with OpenVINO {wrong}"
        else:
            right[precision] = compiled
    if right:
        chosen = fastest(right, images)
        kept.judge(asked, {"precision": chosen})
        return right[chosen], chosen
    if compiles:  # a wrong result stays wrong; other failures may have been for want of memory
        kept.judge(asked, {"fault": why})
    raise Unsupported(why)


def _convert(network: Any, size: int) -> ov.Model:
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every branch; the probe tells if it hurt
        return ov.convert_model(network, example_input=torch.zeros(1, size, size, 3).byte())


def _precisions(core: ov.Core) -> tuple[str, ...]:
    """The processor's arithmetic, fastest first."""
    bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "f32") if bf16 else ("f32",)


def _compile(core: ov.Core, source: ov.Model | Path, precision: str, blobs: Path) -> Any:
    cores = cpu_count()
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": cores,
        "INFERENCE_NUM_THREADS": cores,
        "INFERENCE_PRECISION_HINT": precision,
    }
    if isinstance(source, Path):
        with contextlib.suppress(RuntimeError):  # older OpenVINO: no such mode on the CPU
            # Takes a third to a half off compiling. Weights stay in the model's own file.
            kept = {"CACHE_DIR": str(blobs), "CACHE_MODE": "OPTIMIZE_SIZE"}
            return core.compile_model(str(source), "CPU", settings | kept)
        source = core.read_model(source)
    return core.compile_model(source, "CPU", settings)


def fastest(compiled: dict[str, Any], images: np.ndarray) -> str:
    """Which of these models, by their arithmetic, encodes images fastest on this machine.

    Having bfloat16 doesn't make a processor fast at it: with AMX it more than halves the time of
    EfficientNet-Lite0, with AVX-512 alone it nearly doubles it (docs/performance.md). Float32 is
    taken where the difference is small.
    """
    if len(compiled) == 1:
        return next(iter(compiled))
    seconds = dict.fromkeys(compiled, float("inf"))
    start = time.perf_counter()
    for _ in range(ROUNDS):
        for precision, model in compiled.items():
            began = time.perf_counter()
            deque(encoded(model, images), maxlen=0)
            seconds[precision] = min(seconds[precision], time.perf_counter() - began)
        if time.perf_counter() - start > ENOUGH:  # a large encoder: one round says it
            break
    if "f32" in seconds:
        seconds["f32"] *= SMALL
    return min(seconds, key=lambda precision: seconds[precision])


def encoded(compiled: Any, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Features of a stream of images, (dim,) float32 each; requests keep every core busy.

    Arguments:
        compiled: OpenVINO's model for one image a request.
        images: each (size, size, 3) uint8.
    """
    idle = deque(compiled.create_infer_request() for _ in range(2 * cpu_count()))
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
    return request.get_output_tensor(0).data[0].astype(np.float32)


def _reason(error: Exception) -> str:
    """Of OpenVINO's many lines the one that tells what happened."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")]
    for i, line in enumerate(lines):
        if line.startswith("No conversion rule"):
            return line[:160]
        if line == "Exception:" and i + 1 < len(lines):  # of the network's own code
            return lines[i + 1][:160]
    return lines[-1][:160] if lines else type(error).__name__
