"""What ``headlight encoders`` lists: the encoders with short names, and whether they work here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from headlight.encoders.catalogue import CATALOGUE
from headlight.encoders.hub_files import cached
from headlight.encoders.lite import DIM, PARAMETERS, SIZES, installed

# What else `--encoder` takes, and what it means.
SPELLINGS = (
    ("hf:owner/name, hf:FOLDER", "a vision model of transformers: on the hub, or on this disk"),
    ("timm:NAME", "a model of timm (pip install 'headlight-images[timm]')"),
    ("onnx:FILE, torch:module:function", "your own network: an ONNX file, or PyTorch"),
    ("features:FILE", "features made elsewhere: .npy, .parquet or .lance"),
    ("NAME@OPTION", "@160: images of 160 pixels; @mean: the mean of tokens of patches"),
    ("A+B", "several encoders side by side"),
)


@dataclass(frozen=True)
class Listed:
    """An encoder with a short name.

    Arguments:
        name: what ``--encoder`` takes.
        dim: length of one feature vector.
        input_size: side of the image it takes, pixels.
        parameters: millions.
        usable: it works now and needs no network: packages are installed and weights on this disk.
        missing: what must be done first: the extra to install, a licence, a download.
        about: what it is.
        paper: where it was published.
    """

    name: str
    dim: int
    input_size: int
    parameters: float
    usable: bool
    missing: tuple[str, ...]
    about: str
    paper: str


def listed() -> list[Listed]:
    """Every encoder with a short name. Quick: nothing is loaded, and no network asked.

    Returns:
        The embedded family first, then the published ones by family.
    """
    rows = []
    for name, size in SIZES.items():
        missing = () if installed(name) else ("headlight-images[lite]",)
        about = (f"EfficientNet-Lite{name[-1]}", "arXiv:1905.11946")
        rows.append(Listed(name, DIM, size, PARAMETERS[name], not missing, missing, *about))
    extra = () if find_spec("transformers") else ("headlight-images[hub]",)
    for name, one in CATALOGUE.items():
        missing = (*extra, *(() if cached(one.repository) else one.needed))
        size = one.input_size
        rows.append(Listed(name, one.dim, size, one.parameters, not missing, missing, *one.family))
    return rows
