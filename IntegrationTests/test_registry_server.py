"""The registry of this repository, used by the tools of others."""

import base64
import gzip
import hashlib
import http.client
import io
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tarfile
import time

import pytest

from engines import BINARIES

pytestmark = pytest.mark.apusd
LAYER_SIZE = 12 << 20


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Server:
    """`apusd registry serve` with a directory of its own."""

    def __init__(self, base, *options, host="127.0.0.1"):
        self.root, self.options, self.log = base / "registry", options, base / "registry.log"
        self.tls = "--tls-cert" in options
        with socket.socket() as probe:
            probe.bind((host, 0))
            self.port = probe.getsockname()[1]
        self.host, self.address = host, f"{host}:{self.port}"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BINARIES / "apusd", "registry", "serve", "--listen", self.address, "--root", self.root, *self.options],
                stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        assert self.process.wait(30) == (0 if how == signal.SIGTERM else -how), self.log.read_text()

    def request(self, method, path, body=None, headers=()):
        if self.tls:
            connection = http.client.HTTPSConnection(self.address, context=ssl._create_unverified_context(), timeout=30)
        else:
            connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def blobs(self):
        return sorted(path.name for path in (self.root / "content" / "blobs" / "sha256").iterdir())


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """An OCI layout of one image, whose layer does not compress."""
    base = tmp_path_factory.mktemp("layout")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("data")
        entry.size = LAYER_SIZE
        tar.addfile(entry, io.BytesIO(random_bytes(LAYER_SIZE)))
    # Compressed, so that nobody has a reason to change it on its way.
    layer = gzip.compress(archive.getvalue(), 1, mtime=0)
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(archive.getvalue())]}
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config), "layers": [descriptor("layer.v1.tar+gzip", layer)],
    }).encode()
    blobs = base / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (layer, config, manifest):
        (blobs / digest(data)[7:]).write_bytes(data)
    (base / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entry = {**descriptor("manifest.v1+json", manifest), "annotations": {"org.opencontainers.image.ref.name": "1"}}
    (base / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    base.joinpath("digest").write_text(digest(manifest))
    return base


def descriptor(kind, data):
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(data), "size": len(data)}


def random_bytes(count):
    with open("/dev/urandom", "rb") as source:
        return source.read(count)


def skopeo(*arguments, check=True):
    if shutil.which("skopeo") is None:
        pytest.skip("there is no skopeo here")
    done = subprocess.run(
        ["skopeo", "--insecure-policy", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


PLAIN = ["--dest-tls-verify=false"]


def test_skopeo_pushes_and_pulls(server, layout, tmp_path):
    skopeo("copy", *PLAIN, f"oci:{layout}:1", f"docker://{server.address}/team/app:1")
    skopeo("copy", *PLAIN, f"oci:{layout}:1", f"docker://{server.address}/team/app:2")
    tags = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{server.address}/team/app").stdout)
    assert tags["Tags"] == ["1", "2"]
    wanted = layout.joinpath("digest").read_text()
    for name in ("app:1", f"app@{wanted}"):
        target = tmp_path / name.replace(":", "-")
        skopeo("copy", "--src-tls-verify=false", f"docker://{server.address}/team/{name}", f"oci:{target}:x")
        for blob in (layout / "blobs" / "sha256").iterdir():
            assert (target / "blobs" / "sha256" / blob.name).read_bytes() == blob.read_bytes()
    # Docker's format as well.
    skopeo("copy", *PLAIN, "--format", "v2s2", f"oci:{layout}:1", f"docker://{server.address}/team/app:docker")
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{server.address}/team/app:docker").stdout
    assert json.loads(raw)["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_content_outlives_the_server(server, layout):
    skopeo("copy", *PLAIN, f"oci:{layout}:1", f"docker://{server.address}/app:1")
    for how in (signal.SIGTERM, signal.SIGKILL):
        server.stop(how)
        server.start()
        skopeo("inspect", "--tls-verify=false", f"docker://{server.address}/app:1")


def test_what_is_deleted_is_gone(server, layout):
    wanted = layout.joinpath("digest").read_text()
    skopeo("copy", *PLAIN, f"oci:{layout}:1", f"docker://{server.address}/a:1")
    skopeo("copy", *PLAIN, f"oci:{layout}:1", f"docker://{server.address}/b:1")
    manifest = json.loads(server.request("GET", "/v2/a/manifests/1")[2])
    blobs = [manifest["config"]["digest"], manifest["layers"][0]["digest"]]
    before = server.blobs()
    for name in ("a", "b"):
        assert server.request("DELETE", f"/v2/{name}/manifests/{wanted}")[0] == 202
        assert server.request("GET", f"/v2/{name}/manifests/1")[0] == 404
        for blob in blobs:
            assert server.request("DELETE", f"/v2/{name}/blobs/{blob}")[0] == 202
            assert server.request("DELETE", f"/v2/{name}/blobs/{blob}")[0] == 404
        # The other repository still has them.
        if name == "a":
            assert server.blobs() == before
            assert server.request("HEAD", f"/v2/b/blobs/{blobs[1]}")[0] == 200
    assert server.blobs() == []


def test_an_upload_goes_on_after_its_connection_broke(server):
    data = random_bytes(3 << 20)
    status, headers, _ = server.request("POST", "/v2/x/blobs/uploads/")
    assert status == 202
    location = headers["Location"]
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(
            f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
            f"Content-Range: 0-{len(data) - 1}\r\n\r\n".encode() + data[:1 << 20])
    deadline = time.monotonic() + 30
    while True:
        _, headers, _ = server.request("GET", location)
        received = int(headers["Range"].split("-")[1]) + 1
        # Until the server has seen the end of it, it takes no other request of the upload.
        status, headers, body = server.request(
            "PATCH", location, data[received:],
            {"Content-Range": f"{received}-{len(data) - 1}", "Content-Type": "application/octet-stream"})
        if status == 202:
            break
        assert status == 416 and time.monotonic() < deadline, (status, body)
        time.sleep(0.05)
    assert received <= 1 << 20
    assert headers["Range"] == f"0-{len(data) - 1}"
    assert server.request("PUT", f"{location}?digest={digest(data)}", b"")[0] == 201
    status, headers, part = server.request("GET", f"/v2/x/blobs/{digest(data)}", headers={"Range": "bytes=5-104"})
    assert (status, part) == (206, data[5:105])
    assert headers["Content-Range"] == f"bytes 5-104/{len(data)}"


def test_errors_are_worded_as_specified(server):
    for method, path, status, code in [
        ("GET", "/v2/none/tags/list", 404, "NAME_UNKNOWN"), ("GET", "/v2/NONE/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/none/manifests/1", 404, "NAME_UNKNOWN"),
        ("GET", f"/v2/none/blobs/{digest(b'')}", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/none/blobs/sha256:1", 400, "DIGEST_INVALID"),
        ("PATCH", "/v2/none/blobs/uploads/1", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", "/v2/none/manifests/1", 400, "MANIFEST_INVALID"), ("POST", "/v2/none/tags/list", 405, "UNSUPPORTED"),
    ]:
        answer = server.request(method, path)
        assert (answer[0], json.loads(answer[2])["errors"][0]["code"]) == (status, code), path
        assert answer[1]["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert server.request("GET", "/other")[0] == 404


def certificate(base):
    key, cert = base / "server.key", base / "server.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return key, cert


def test_tls_and_passwords(tmp_path, layout):
    key, cert = certificate(tmp_path)
    users = tmp_path / "htpasswd"
    if shutil.which("htpasswd") is None:
        pytest.skip("there is no htpasswd here")
    subprocess.run(["htpasswd", "-cbB", users, "user", "s3cret"], check=True, capture_output=True)
    trusted = tmp_path / "certs"
    trusted.mkdir()
    shutil.copy(cert, trusted / "ca.crt")
    with Server(tmp_path, "--tls-cert", cert, "--tls-key", key, "--htpasswd", users) as server:
        target = f"docker://{server.address}/app:1"
        certs = ["--dest-cert-dir", trusted]
        done = skopeo("copy", *certs, f"oci:{layout}:1", target, check=False)
        assert done.returncode != 0 and "unauthorized" in done.stderr.lower(), done.stderr
        done = skopeo("copy", *certs, "--dest-creds", "user:wrong", f"oci:{layout}:1", target, check=False)
        assert done.returncode != 0
        done = skopeo("copy", "--dest-creds", "user:s3cret", f"oci:{layout}:1", target, check=False)
        assert done.returncode != 0 and "certificate" in done.stderr
        skopeo("copy", *certs, "--dest-creds", "user:s3cret", f"oci:{layout}:1", target)
        status, headers, _ = server.request("GET", "/v2/")
        assert status == 401 and headers["WWW-Authenticate"].startswith("Basic realm=")
        right = {"Authorization": "Basic " + base64.b64encode(b"user:s3cret").decode()}
        assert server.request("GET", "/v2/", headers=right)[0] == 200


def test_read_only(tmp_path, layout):
    with Server(tmp_path) as server:
        skopeo("copy", *PLAIN, f"oci:{layout}:1", f"docker://{server.address}/app:1")
    with Server(tmp_path, "--read-only") as server:
        skopeo("inspect", "--tls-verify=false", f"docker://{server.address}/app:1")
        assert skopeo("copy", *PLAIN, f"oci:{layout}:1", f"docker://{server.address}/app:2", check=False).returncode != 0
        assert server.request("DELETE", "/v2/app/manifests/1")[0] == 405


def test_what_cannot_be_served_is_said(tmp_path):
    for options, words in [
        (["--listen", "nonsense"], "no address and port"), (["--root", "relative"], "absolute"),
        (["--tls-cert", "/none"], "together"), (["--tls-cert", "/none", "--tls-key", "/none"], "/none holds no PEM"),
        (["--listen", "0.0.0.0:0", "--htpasswd", "/none"], "unprotected"),
    ]:
        done = subprocess.run(
            [BINARIES / "apusd", "registry", "serve", "--root", tmp_path / "r", *options], capture_output=True, text=True,
            timeout=30, check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory):
    """A dockerd of its own, which runs nothing: it pushes and pulls."""
    if shutil.which("dockerd") is None:
        pytest.skip("there is no dockerd here")
    base = pathlib.Path(tmp_path_factory.mktemp("dockerd"))
    with open(base / "log", "wb") as log:
        process = subprocess.Popen(
            ["dockerd", "--data-root", base / "data", "--exec-root", base / "exec", "-p", base / "pid", "-H",
             f"unix://{base}/s", "--storage-driver", "vfs", "--bridge", "none", "--iptables=false"],
            stdout=log, stderr=log)

    def docker(*arguments):
        return subprocess.run(
            ["docker", "-H", f"unix://{base}/s", *map(str, arguments)], capture_output=True, text=True, timeout=120,
            check=False)

    deadline = time.monotonic() + 60
    while docker("version").returncode != 0:
        assert process.poll() is None and time.monotonic() < deadline, (base / "log").read_text()
        time.sleep(0.2)
    yield docker
    process.terminate()
    process.wait(60)


def test_docker_pushes_and_pulls(server, layout, dockerd, tmp_path):
    archive = tmp_path / "image.tar"
    name = f"{server.address}/team/app:1"
    skopeo("copy", f"oci:{layout}:1", f"docker-archive:{archive}:{name}")
    for command in (["load", "-i", archive], ["push", name], ["rmi", name], ["pull", name]):
        done = dockerd(*command)
        assert done.returncode == 0, (command, done.stderr)
    wanted = server.request("HEAD", "/v2/team/app/manifests/1")[1]["Docker-Content-Digest"]
    assert wanted in done.stdout
    # A second name in another repository costs no upload: the blobs are mounted.
    other = f"{server.address}/other/app:1"
    assert dockerd("tag", name, other).returncode == 0
    done = dockerd("push", other)
    assert done.returncode == 0 and "Mounted from team/app" in done.stdout, done.stdout + done.stderr
    assert dockerd("rmi", name, other).returncode == 0
    assert dockerd("pull", f"{server.address}/other/app@{wanted}").returncode == 0
