"""Registries and disks that misbehave: one clear sentence, and nothing of it stays."""

import json
import os
import subprocess
import tarfile

import pytest

from engines import BINARIES, Client, Engine
from registry import Registry, digest

pytestmark = pytest.mark.apusd


@pytest.fixture
def registry():
    registry = Registry()
    yield registry
    registry.close()


def stored(engine):
    """Blobs, layers and unfinished downloads of an engine."""
    found = set()
    for base in ("content/blobs", "content/ingest", "content/partial", "layers/sha256", "layers/ingest"):
        found |= {str(path.relative_to(engine.root)) for path in (engine.root / base).rglob("*") if path.is_file()}
    return found


@pytest.fixture
def refused(apus, engine, registry):
    """Pulls and expects a refusal with these words; nothing may be left of it."""

    def check(*words, reference="1", partial=False):
        before = stored(engine)
        result = apus("pull", f"{registry.address}/team/box:{reference}", check=False, timeout=180)
        assert result.returncode == 1, result.stdout
        message = result.stderr.strip()
        for word in words:
            assert word in message, message
        assert "\n" not in message and "Optional(" not in message and "Error(" not in message, message
        if not partial:
            engine.wait_for(lambda: stored(engine) <= before, what="what was got to be removed")
        assert engine.request("GET", f"/images/{registry.address}/team/box:{reference}/json").status == 404
        return message

    return check


def layer_of(registry):
    return max(registry.blobs, key=lambda key: len(registry.blobs[key]))


def on_blob(registry, body):
    """Runs `body` for requests of the layer's bytes."""
    layer = layer_of(registry)

    def script(request):
        return body(request) if request.command == "GET" and request.path.endswith(layer) else False

    registry.script = script
    return registry.blobs[layer]


def answer(request, status, data=b"", headers=()):
    Registry.answer(request, status, data, headers)
    return True


ERRORS = {
    401: ("pull access denied", "docker login"), 403: ("denied",), 404: ("not found",), 429: ("429",), 500: ("500",),
    503: ("503",),
}


@pytest.mark.parametrize("status", ERRORS)
def test_statuses_of_a_manifest(refused, registry, status):
    registry.script = lambda request: answer(request, status, b"{}", {"Retry-After": "0"})
    refused(*ERRORS[status])


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_statuses_of_a_layer(refused, registry, status):
    on_blob(registry, lambda request: answer(request, status, b"", {"Retry-After": "0"}))
    refused(str(status) if status in (429, 500) else "", partial=True)


def test_a_failure_that_passes_is_not_seen(apus, registry):
    failures = [503, 429, 500]

    def script(request):
        return bool(failures) and answer(request, failures.pop(), b"", {"Retry-After": "0"})

    registry.script = script
    apus("pull", "-q", f"{registry.address}/team/box:1")
    apus("rmi", f"{registry.address}/team/box:1")


def test_wrong_bytes(refused, registry):
    layer = layer_of(registry)
    data = bytearray(registry.blobs[layer])
    data[len(data) // 2] ^= 1
    registry.blobs[layer] = bytes(data)
    refused("")


@pytest.mark.parametrize("change", ["short", "long"])
def test_a_layer_of_another_size(refused, registry, change):
    layer = layer_of(registry)
    data = registry.blobs[layer]
    registry.blobs[layer] = data[:-1000] if change == "short" else data + bytes(1000)
    refused("bytes", partial=change == "short")


def rewrite(registry, change, kind="manifest"):
    """Changes the manifest, and the index that names it."""
    old = registry.manifest_digest
    document = json.loads(registry.manifests[old][1])
    change(document)
    data = json.dumps(document).encode()
    media = document.get("mediaType", registry.manifests[old][0])
    registry.manifests[digest(data)] = (media, data)
    index = json.loads(registry.manifests["1"][1])
    index["manifests"][0].update(digest=digest(data), size=len(data), mediaType=media)
    data = json.dumps(index).encode()
    registry.manifests["1"] = (index["mediaType"], data)
    registry.manifests[digest(data)] = registry.manifests["1"]


def test_unknown_kinds(refused, registry):
    def layers(document):
        document["layers"][0]["mediaType"] = "application/vnd.example.layer.v1+strange"

    rewrite(registry, layers)
    refused("unknown type 'application/vnd.example.layer.v1+strange'")

    def config(document):
        document["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"

    rewrite(registry, config)
    refused("no container image", "helm")


def test_too_many_layers(refused, registry):
    rewrite(registry, lambda document: document.update(layers=document["layers"] * 200))
    refused("200 layers")


def test_a_layer_count_that_does_not_fit(refused, registry):
    rewrite(registry, lambda document: document.update(layers=document["layers"] * 2))
    refused("inconsistent")


def test_absurd_sizes(refused, registry):
    def grow(document):
        document["layers"][0]["size"] = 2**62

    rewrite(registry, grow)
    refused("more than")

    def shrink(document):
        document["layers"][0]["size"] = -5

    rewrite(registry, shrink)
    refused("size")


def test_a_foreign_platform(refused, registry):
    index = json.loads(registry.manifests["1"][1])
    index["manifests"][0]["platform"]["architecture"] = "s390x"
    registry.manifests["1"] = (index["mediaType"], json.dumps(index).encode())
    refused("no matching manifest for linux/", "linux/s390x")


def test_loops_and_depth(refused, registry):
    kind, data = registry.manifests[registry.manifest_digest]
    for depth in range(8):
        document = {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": kind, "digest": digest(data), "size": len(data)}],
        }
        kind, data = document["mediaType"], json.dumps(document).encode()
        registry.manifests[digest(data)] = registry.manifests[f"deep{depth}"] = (kind, data)
    refused("nested", reference="deep7")
    # An index cannot name its own digest; one that is served under it does not match.
    registry.manifests[registry.manifest_digest] = registry.manifests["1"]
    refused("does not match")


@pytest.mark.parametrize("data", [
    b"", b"{}", b"[]", b"not json", b'{"schemaVersion":1}', b'{"schemaVersion":2,"layers":[]}', b"[" * 100_000,
    b'{"schemaVersion":2,"manifests":[],"config":{},"layers":[]}',
])
def test_documents_that_are_none(refused, registry, data):
    registry.manifests["1"] = ("application/vnd.oci.image.manifest.v1+json", data)
    refused("")


def test_a_manifest_without_end(refused, registry):
    registry.manifests["1"] = ("application/vnd.oci.image.manifest.v1+json", b" " * (6 << 20))
    refused("more than")


@pytest.mark.parametrize("where", ["manifests/", "manifest by digest", "config", "layer"])
@pytest.mark.parametrize("how", ["before", "headers", "half"])
def test_a_cut_connection(refused, registry, where, how):
    manifest = json.loads(registry.manifests[registry.manifest_digest][1])
    place = {
        "manifests/": "/manifests/1", "manifest by digest": registry.manifest_digest,
        "config": manifest["config"]["digest"], "layer": manifest["layers"][0]["digest"],
    }[where]

    def script(request):
        if not request.path.endswith(place):
            return False
        request.close_connection = True
        key = place.split("/")[-1]
        data = registry.blobs[key] if key in registry.blobs else registry.manifests[key][1]
        if how != "before":
            request.send_response(200)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
        if how == "half":
            request.wfile.write(data[:len(data) // 2])
        request.wfile.flush()
        request.connection.shutdown(2)
        return True

    registry.script = script
    refused(registry.address, partial=True)


def test_a_cut_connection_is_taken_up_again(apus, registry, engine):
    """The parts that each attempt brings add up to one download."""
    sent = []

    def script(request):
        data = registry.blobs[layer_of(registry)]
        start = int((request.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        end = min(len(data), start + len(data) // 3 + 1)
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        request.wfile.write(data[start:end])
        request.wfile.flush()
        sent.append(end - start)
        if end < len(data):
            request.close_connection = True
            request.connection.shutdown(2)
        return True

    size = len(on_blob(registry, script))
    apus("pull", "-q", f"{registry.address}/team/box:1")
    # What was under way when a connection ended may have to be sent again; nothing begins anew.
    assert len(sent) >= 3 and sum(sent) < size + size // 2
    apus("rmi", f"{registry.address}/team/box:1")


def test_a_redirect_takes_no_credentials_along(apus, registry, tmp_path):
    registry.password = "secret"
    elsewhere = Registry()
    elsewhere.blobs = registry.blobs
    seen = []
    elsewhere.script = lambda request: seen.append(request.headers.get("Authorization")) and False
    layer = layer_of(registry)
    registry.script = lambda request: request.path.endswith(layer) and answer(
        request, 307, b"", {"Location": f"http://{elsewhere.address}{request.path}"})
    own = {"DOCKER_CONFIG": str(tmp_path)}
    try:
        apus("login", "-u", "user", "--password-stdin", registry.address, input="secret\n", env=own)
        apus("pull", "-q", f"{registry.address}/team/box:1", env=own)
    finally:
        elsewhere.close()
    assert seen and set(seen) == {None}
    apus("rmi", f"{registry.address}/team/box:1")


@pytest.mark.parametrize("name", [
    "UPPER/lower", "a//b", "x:", "x@sha256:short", "-x", "x:-tag", "../x", "x y", "http://host/x", "a" * 300,
])
def test_invalid_references(apus, engine, name):
    result = apus("pull", "--", name, check=False)
    assert result.returncode == 1 and result.stderr.strip()


@pytest.mark.slow
def test_a_full_disk(registry):
    """A store in a file system too small for the image: a sentence, and room again afterwards."""
    big = Registry(extra=[noise(12 << 20)])
    engine = Engine()
    engine.root.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(engine.root)], check=True)
    try:
        engine.start()
        client = Client(engine, BINARIES / "apus")
        before = free(engine.root)
        for _ in range(2):
            result = client("pull", f"{big.address}/team/box:1", check=False)
            assert result.returncode == 1 and "space" in result.stderr, result.stderr
            engine.wait_for(lambda: free(engine.root) > before - (1 << 20), what="room")
        client("pull", "-q", f"{registry.address}/team/box:1")
        assert client.out("run", "--rm", f"{registry.address}/team/box:1") == "pulled"
    finally:
        big.close()
        engine.close()
        subprocess.run(["umount", "-l", str(engine.root)], check=False)


def free(path):
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def noise(size):
    """A file that does not compress."""
    info = tarfile.TarInfo("data/noise")
    info.size = size
    return info, os.urandom(size)
