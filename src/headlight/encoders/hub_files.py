"""The files of a checkpoint: in a folder, in the hub's cache on this disk, or downloaded."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_cache_path

from headlight.encoders.catalogue import CATALOGUE
from headlight.encoders.lite import SIZES, installed
from headlight.encoders.preprocessing import read_json
from headlight.errors import HeadlightError

CONFIGS = ("config.json", "preprocessor_config.json", "processor_config.json")
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PATTERNS = [*CONFIGS, WEIGHTS, INDEX, "model-*-of-*.safetensors"]
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_SECONDS = 10.0  # until a hub that does not answer counts as out of reach
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
# Who converts weights to safetensors on the hub, and what it calls the pull request it offers
# them in: owners of older repositories have not all taken them over.
_CONVERTER, _CONVERSION = "SFconvertbot", "Adding `safetensors` variant of this model"
# Our ref in the hub's cache for the converter's revision: anyone may open pull requests, and
# their refs in the cache don't say whose they are.
_CONVERTED = "headlight-converted"


def is_repository(where: str) -> bool:
    """Whether it has the form ``owner/name``."""
    return _REPOSITORY.fullmatch(where) is not None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, in the order of their names.

    Raises:
        HeadlightError: there are none, or some are missing.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise HeadlightError(
            f"no weights in the safetensors format ({WEIGHTS}) in {folder}; other formats are "
            "not read: save the model again with save_pretrained(folder, safe_serialization=True)"
        )
    named = read_json(folder / INDEX).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise HeadlightError(f"{folder / INDEX}: names no files of weights")
    files = [folder / Path(str(name)).name for name in sorted(set(named.values()))]
    for file in files:
        if not file.is_file():
            raise HeadlightError(f"{file}: is missing, and {INDEX} names it; get it as well")
    return files


def hash_files(files: list[Path], *texts: str) -> str:
    """SHA-256 of the contents of files, in their order, and of texts.

    A file whose path, size and times are those of before is not read again.
    """
    whole = hashlib.sha256()
    for file in files:
        whole.update(bytes.fromhex(_hash(file)))
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()


def _hash(file: Path) -> str:
    """Read once, then kept in the user's cache: a checkpoint of 4 GB takes seconds."""
    state = file.stat()
    seen = (str(file.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    name = hashlib.sha256(repr(seen).encode("utf-8", "surrogateescape")).hexdigest()
    kept = user_cache_path("headlight") / "hashes" / name
    with contextlib.suppress(OSError, ValueError):
        if len(bytes.fromhex(found := kept.read_text("ascii"))) == hashlib.sha256().digest_size:
            return found
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    # One just written may change again before its times do.
    if time.time() - state.st_mtime > _SECONDS:
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(found, "ascii")
    return found


def cached(repository: str) -> Path | None:
    """Where the hub's cache has all of a checkpoint; None: it has not. Needs no network."""
    if not find_spec("huggingface_hub"):
        return None
    from huggingface_hub.constants import HF_HUB_CACHE

    store = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    for ref in ("main", _CONVERTED):
        if (file := store / "refs" / ref).is_file():
            folder = store / "snapshots" / file.read_text().strip()
            if (folder / "config.json").is_file() and _whole(folder):
                return folder
    return None


def _whole(folder: Path) -> bool:
    try:
        return bool(weight_files(folder))
    except HeadlightError:
        return False


def on_this_disk() -> list[str]:
    """Short names of the encoders that work without a network, as far as files are concerned."""
    lites = [name for name in SIZES if installed(name)]
    return lites + [name for name, entry in CATALOGUE.items() if cached(entry.repository)]


def fetch(repository: str, instead: str = "hf:FOLDER") -> Path:
    """The folder of a checkpoint of the hub, downloaded if the cache does not have it.

    Arguments:
        repository: ``owner/name``.
        instead: what to give for ``--encoder`` when the files were downloaded elsewhere.

    Raises:
        HeadlightError: it can't be had; says why, and what works instead.
    """
    return cached(repository) or _download(repository, instead)


def _download(repository: str, instead: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        # First a question with a time limit: it tells in seconds what a download can't do.
        info = HfApi().model_info(repository, timeout=_SECONDS)
        revision = "main"
        if not any(entry.rfilename in (WEIGHTS, INDEX) for entry in info.siblings or []):
            revision = _converted(repository)
        with _progress_on_terminals_only():
            folder = snapshot_download(repository, revision=revision, allow_patterns=_PATTERNS)
    except HeadlightError:
        raise
    except Exception as error:  # of the hub's client, its HTTP library, or the disk
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        raise HeadlightError(_why(repository, error, instead)) from error
    weight_files(Path(folder))
    if revision != "main":
        (Path(folder).parents[1] / "refs" / _CONVERTED).write_text(Path(folder).name)
    return Path(folder)


def _converted(repository: str) -> str:
    """The revision in which the hub's own converter offers the weights as safetensors."""
    from huggingface_hub import HfApi

    for offer in HfApi().get_repo_discussions(
        repository, author=_CONVERTER, discussion_type="pull_request"
    ):
        if offer.author == _CONVERTER and offer.title == _CONVERSION and offer.git_reference:
            return offer.git_reference
    raise HeadlightError(
        f"{repository} on the hub has no weights in the safetensors format ({WEIGHTS}), and other "
        "formats are not read; choose another encoder (`headlight encoders`)"
    )


def _why(repository: str, error: Exception, instead: str) -> str:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    kinds = {kind.__name__ for kind in type(error).__mro__}
    cure = "download it"
    if "GatedRepoError" in kinds:
        why = "its licence must be accepted on the hub first, and a token given (`hf auth login`)"
    elif kinds & {"RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"}:
        why = "the hub has no such repository, or it is private"
    elif HF_HUB_OFFLINE:
        why = "it is not on this disk, and HF_HUB_OFFLINE forbids the network"
    else:
        why = "it is not on this disk, and the hub can't be reached (no network?)"
        cure = "download it elsewhere"
    return (
        f"{repository} can't be had: {why}; {cure} and give --encoder {instead} "
        f"(with {CONFIGS[0]}, {CONFIGS[1]}, *.safetensors); "
        f"what works right now: {', '.join(on_this_disk()) or 'nothing'}"
    )


@contextlib.contextmanager
def _progress_on_terminals_only() -> Iterator[None]:
    """Downloads take minutes, and their progress is for people: log files get none of it."""
    from huggingface_hub import utils

    if sys.stderr.isatty() or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
