"""Encoders as compiled OpenVINO models: converted and checked once, then cached on disk."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from headlight.encoders.base import Encoder
from headlight.encoders.offline_openvino import ov
from headlight.engines.base import Unsupported, cpu_count
from headlight.engines.conversion_cache import ModelCache
from headlight.engines.probe import fault, probe_images, reference_features
from headlight.errors import HeadlightError


def compiled_encoder(encoder: Encoder, precision: str = "auto") -> tuple[Any, str]:
    """The encoder compiled for the CPU, for one image (1, size, size, 3) uint8 per request.

    The first time it is converted and compared with PyTorch on `probe_images`: in bfloat16 where
    the processor has it, then in float32. The verdict is kept beside the converted model, so
    that the next time PyTorch's network isn't even built.

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
    for precision in _precisions(core) if asked == "auto" else (asked,):
        try:
            compiled = _compile(core, source, precision, kept.blobs(precision))
            found = np.concatenate([_run(compiled, image[None]) for image in images])
        except RuntimeError as error:
            why, compiles = f"OpenVINO can't run it in {precision} ({_reason(error)})", False
            continue
        wrong = fault(found, expected, precision)
        if not wrong:
            kept.judge(asked, {"precision": precision})
            return compiled, precision
        why = f"with OpenVINO {wrong}"
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


def _run(compiled: Any, images: np.ndarray) -> np.ndarray:
    request = compiled.create_infer_request()
    request.infer({0: images})
    return request.get_output_tensor(0).data.copy()


def _reason(error: Exception) -> str:
    """Of OpenVINO's many lines the one that tells what happened."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")]
    for i, line in enumerate(lines):
        if line.startswith("No conversion rule"):
            return line[:160]
        if line == "Exception:" and i + 1 < len(lines):  # of the network's own code
            return lines[i + 1][:160]
    return lines[-1][:160] if lines else type(error).__name__
