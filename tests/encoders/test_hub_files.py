"""Downloads, by the hub's own client, from a server here that answers as the hub does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from platformdirs import user_cache_path

from headlight.encoders.hub_files import cached, hash_files
from tests.encoders.checkpoints import networks, save, scatter

pytest.importorskip("transformers", reason="transformers (pip install 'headlight-images[hub]')")

PROGRAM = """
import sys
from headlight.encoders import load_encoder
from headlight.errors import HeadlightError
try:
    made = load_encoder(sys.argv[1])
    print(made.name, made.dim, made.weights_hash)
except HeadlightError as error:
    print("sentence:", error)
print("torch" in sys.modules)
"""


class Hub:
    """Repositories of files; see `answer` for what it understands."""

    def __init__(self) -> None:
        # By repository and revision: content by name.
        self.files: dict[tuple[str, str], dict[str, bytes]] = {}
        self.offers: dict[str, list[dict[str, object]]] = {}
        self.gated: set[str] = set()
        self.asked: list[str] = []

    def revision(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]]:
        for (name, ref), files in self.files.items():
            commit = sha256(f"{name} {ref}".encode()).hexdigest()[:40]
            if name == repository and revision in (ref, commit):
                return commit, files
        raise KeyError(repository)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content for what a client asks."""
        parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        api = parts[:2] == ["api", "models"]
        repository = "/".join(parts[2:4] if api else parts[:2])
        rest = parts[4:] if api else parts[2:]
        if repository in self.gated and not api:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        try:
            if rest[:1] == ["discussions"]:
                found = self.offers.get(repository, [])
                return as_json({"discussions": found, "start": 0, "count": len(found)})
            commit, files = self.revision(repository, rest[1] if rest else "main")
            if rest[:1] == ["resolve"]:
                content = files[rest[2]]
                etag = f'"{sha256(content).hexdigest()}"'
                return 200, {"ETag": etag, "X-Repo-Commit": commit}, content
        except KeyError:
            code = "EntryNotFound" if rest[:1] == ["resolve"] else "RepoNotFound"
            return 404, {"X-Error-Code": code}, b""
        if rest[:1] == ["tree"]:
            return as_json(
                [
                    {
                        "type": "file",
                        "path": n,
                        "size": len(c),
                        "oid": sha256(c).hexdigest()[:40],
                    }
                    for n, c in files.items()
                ]
            )
        siblings = [{"rfilename": name} for name in files]
        return as_json({"id": repository, "sha": commit, "siblings": siblings, "private": False})


def as_json(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = save(scatter(networks()["dinov3"]), tmp_path_factory.mktemp("dinov3"))
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def hub() -> Iterator[tuple[Hub, str]]:
    """A hub with nothing in it, and its address."""
    made = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = made.answer(self.path)
            made.asked.append(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def load(spec: str, home: Path, address: str = "http://127.0.0.1:9", **more: str) -> list[str]:
    """What `PROGRAM` prints, a process of its own: the client reads its settings on import."""
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, spec],
        env=environment | settings | more,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_downloaded_once_then_used_without_network(hub, checkpoint, tmp_path: Path) -> None:
    made, address = hub
    noise = {"pytorch_model.bin": b"pickle", "model.fp16.safetensors": b"x", "README.md": b"#"}
    made.files["someone/tiny", "main"] = checkpoint | noise
    first, torch_loaded = load("hf:someone/tiny@64", tmp_path, address)
    assert first.startswith("hf:someone/tiny@64 32 ")
    assert torch_loaded == "False"
    fetched = {path.rsplit("/", 1)[1] for path in made.asked if "/resolve/" in path}
    assert fetched == {"config.json", "model.safetensors"}
    assert load("hf:someone/tiny@64", tmp_path)[0] == first
    assert load("hf:someone/tiny@64", tmp_path, HF_HUB_OFFLINE="1")[0] == first


def test_half_a_download_is_not_taken_for_a_whole(hub, checkpoint, tmp_path: Path) -> None:
    made, address = hub
    made.files["someone/tiny", "main"] = checkpoint
    load("hf:someone/tiny", tmp_path, address)
    next(tmp_path.rglob("model.safetensors")).unlink()
    assert "can't be had" in load("hf:someone/tiny", tmp_path)[0]
    assert load("hf:someone/tiny", tmp_path, address)[0].startswith("hf:someone/tiny 32 ")


def test_weights_that_the_hub_has_converted_are_found(hub, checkpoint, tmp_path: Path) -> None:
    made, address = hub
    config = {"config.json": checkpoint["config.json"]}
    made.files["someone/old", "main"] = config | {"pytorch_model.bin": b"pickle"}
    assert "no weights in the safetensors format" in load("hf:someone/old", tmp_path, address)[0]
    offer = {
        "title": "Adding `safetensors` variant of this model",
        "author": {"name": "SFconvertbot"},
        "createdAt": "2023-01-01T00:00:00.000Z",
        "status": "open",
        "num": 4,
        "isPullRequest": True,
        "repo": {"name": "someone/old", "type": "model"},
    }
    made.files["someone/old", "refs/pr/3"] = checkpoint | {"model.safetensors": b"a trap"}
    made.files["someone/old", "refs/pr/4"] = checkpoint
    made.offers["someone/old"] = [offer | {"author": {"name": "stranger"}, "num": 3}, offer]
    first = load("hf:someone/old", tmp_path, address)[0]
    assert first.startswith("hf:someone/old 32 ")
    assert load("hf:someone/old", tmp_path)[0] == first
    from huggingface_hub import scan_cache_dir

    (repository,) = scan_cache_dir(tmp_path / "hub").repos  # the client reads our ref too
    assert "headlight-converted" in repository.refs


def test_pull_requests_of_others_in_the_cache_are_not_used(
    checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    store = tmp_path / "models--someone--old"
    for ref, commit in [("refs/pr/3", "a" * 40), ("headlight-converted", "b" * 40)]:
        (store / "snapshots" / commit).mkdir(parents=True)
        for name, content in checkpoint.items():
            (store / "snapshots" / commit / name).write_bytes(content)
        assert cached("someone/old") is None
        (store / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (store / "refs" / ref).write_text(commit)
    assert cached("someone/old") == store / "snapshots" / ("b" * 40)


@pytest.mark.parametrize(
    ("spec", "more", "words"),
    [
        ("dinov2-small", {}, ["facebook/dinov2-small can't be had", "no network?", "elsewhere"]),
        ("dinov2-small", {"HF_HUB_OFFLINE": "1"}, ["HF_HUB_OFFLINE forbids the network"]),
    ],
)
def test_without_network_one_sentence_comes_in_seconds(
    tmp_path: Path, spec: str, more: dict[str, str], words: list[str]
) -> None:
    start = time.monotonic()
    line = load(spec, tmp_path, **more)[0]
    assert time.monotonic() - start < 30  # most of it is Python starting
    assert line.startswith("sentence: ")
    for word in [*words, "--encoder hf:FOLDER", "what works right now: lite0"]:
        assert word in line


def test_what_is_on_this_disk_is_offered_instead(hub, checkpoint, tmp_path: Path) -> None:
    made, address = hub
    made.files["facebook/dino-vits16", "main"] = checkpoint
    assert load("dino-vits16", tmp_path, address)[0].startswith("dino-vits16 32 ")
    assert "dino-vits16" in load("dinov2-small", tmp_path)[0].partition("right now: ")[2]


def test_gated_and_unknown_repositories(hub, checkpoint, tmp_path: Path) -> None:
    made, address = hub
    made.files["facebook/dinov3-vits16-pretrain-lvd1689m", "main"] = checkpoint
    made.gated.add("facebook/dinov3-vits16-pretrain-lvd1689m")
    line = load("dinov3-vits16", tmp_path, address)[0]
    assert "its licence must be accepted on the hub" in line
    line = load("hf:no/such", tmp_path, address)[0]
    assert "the hub has no such repository, or it is private" in line


def test_large_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"1" * 1000)
    first = hash_files([file])
    file.write_bytes(b"2" * 1000)  # at once: its times may be the same
    assert hash_files([file]) != first
    os.utime(file, (0, 0))
    second = hash_files([file])
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", lambda *_: pytest.fail("was read again"))
        assert hash_files([file]) == second
    file.write_bytes(b"3" * 1000)
    os.utime(file, (0, 0))  # as it was, for all that size and date tell
    assert hash_files([file]) not in (first, second)


def test_a_damaged_note_of_a_hash_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"1" * 1000)
    os.utime(file, (0, 0))
    expected = hash_files([file])
    for note in (user_cache_path("headlight") / "hashes").iterdir():
        note.write_text("12")
    assert hash_files([file]) == expected
