"""The user's own encoder: a function that returns an `Encoder` or a PyTorch module."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headlight.encoders.base import Encoder
from headlight.encoders.options import Options
from headlight.encoders.preprocessing import IMAGENET
from headlight.errors import HeadlightError, one_line

if TYPE_CHECKING:
    import torch


def module_encoder(rest: str, options: Options) -> Encoder:
    """What ``function()`` of a Python module returns, as an encoder.

    The current directory is searched for the module first, as ``python -m`` does. The function
    takes no arguments and returns either an `Encoder`, or a ``torch.nn.Module`` that takes images,
    (batch, 3, size, size) float32, normalised with ImageNet's mean and deviation, and gives
    features, (batch, dim). The size is 224, or the module's attribute ``input_size``, or what
    ``@size`` asks for.

    Arguments:
        rest: ``module:function``.
        options: a size, for a ``torch.nn.Module``.

    Raises:
        HeadlightError: there is no such function, it fails, or what it returns does not work.
    """
    function = _function(rest)
    try:
        made = function()
    except (Exception, SystemExit) as error:
        raise HeadlightError(f"{rest}() raised {_told(error)}") from error
    if isinstance(made, Encoder):
        options.allow()
        return replace(made, name=f"torch:{rest}")  # by which it is found again
    import torch

    if not isinstance(made, torch.nn.Module):
        raise HeadlightError(
            f"{rest}() must return a headlight Encoder or a torch.nn.Module, "
            f"not {type(made).__name__}"
        )
    return _of_network(rest, made.eval().requires_grad_(False), options)


def _of_network(rest: str, network: torch.nn.Module, options: Options) -> Encoder:
    from headlight.encoders.network import Pixels, hash_state

    options.allow("size")
    own = getattr(network, "input_size", 224)
    if not isinstance(own, int) or own < 1:
        raise HeadlightError(f"its input_size is {own!r}, not a side in pixels")
    used, suffix = options.apply(IMAGENET.at(own))
    dim = _dim(network, used.input_size)

    def build() -> torch.nn.Module:
        mine = copy.deepcopy(network)  # an engine may move it to its device
        return Pixels(mine, mine, used.mean, used.std).eval()

    return Encoder(
        name=f"torch:{rest}{suffix}",
        dim=dim,
        weights_hash=hash_state(network.state_dict(), repr((str(network), used))),
        build=build,
        description=f"{type(network).__name__}, made by {rest}()",
        **used.views,
    )


def _function(rest: str) -> Callable[[], Any]:
    module, colon, name = rest.partition(":")
    if not (colon and module and name):
        raise HeadlightError("give torch:module:function")
    try:
        with _current_directory_first():
            function = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise HeadlightError(f"no module {error.name!r} in {Path.cwd()} or installed") from None
        raise HeadlightError(f"importing it raised {_told(error)}") from error
    except (Exception, SystemExit) as error:
        raise HeadlightError(f"importing it raised {_told(error)}") from error
    if not callable(function):
        raise HeadlightError(f"module {module} has no function {name}")
    return function


@contextmanager
def _current_directory_first() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _dim(network: torch.nn.Module, size: int) -> int:
    """Length of a feature vector, from two images of noise."""
    import torch

    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            features = network(images)
    except Exception as error:
        raise HeadlightError(
            f"fed (2, 3, {size}, {size}) float32 it raised {_told(error)}"
        ) from error
    if not isinstance(features, torch.Tensor):
        raise HeadlightError(f"it gives {type(features).__name__}, not a tensor (batch, dim)")
    if features.ndim != 2 or features.shape[0] != 2 or not features.shape[1]:
        raise HeadlightError(f"of 2 images it gives shape {tuple(features.shape)}, not (2, dim)")
    if not features.isfinite().all():
        raise HeadlightError("its features are not finite numbers")
    return features.shape[1]


def _told(error: BaseException) -> str:
    name, text = type(error).__name__, one_line(error)
    return name if text == name else f"{name}: {text}"
