"""Registries for the tests: one with one image, which can be told to misbehave, and Debian's docker-registry."""

import base64
import gzip
import hashlib
import http.server
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

import images


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """Serves `name` by tag and digest, behind an index; with basic authentication when a password is given.

    `script`: a function that gets each request first; true says that it has answered.
    """

    def __init__(self, name="team/box", password=None, compress=gzip.compress, extra=()):
        self.name, self.password, self.blobs, self.manifests, self.requests = name, password, {}, {}, []
        self.script = None
        layers = [images.archive(extra)]
        layer = compress(layers[0])
        kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if layer != layers[0] else "")
        config = self.blob(
            json.dumps({
                "architecture": "amd64" if b"x86" in machine() else "arm64", "os": "linux",
                "config": {"Cmd": ["echo", "pulled"], "Env": ["PATH=/bin"]},
                "rootfs": {"type": "layers", "diff_ids": [digest(layers[0])]},
                "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "test"}],
            }).encode())
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
            "layers": [{"mediaType": kind, **self.blob(layer)}],
        }).encode()
        self.manifest_digest = digest(manifest)
        architecture = "amd64" if b"x86" in machine() else "arm64"
        index = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": self.manifest_digest,
                "size": len(manifest), "platform": {"os": "linux", "architecture": architecture},
            }],
        }).encode()
        for key, kind, data in [
            (self.manifest_digest, "manifest", manifest), (digest(index), "index", index), ("1", "index", index),
            ("latest", "index", index)
        ]:
            self.manifests[key] = (f"application/vnd.oci.image.{kind}.v1+json", data)
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.serve(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def blob(self, data):
        self.blobs[digest(data)] = data
        return {"digest": digest(data), "size": len(data)}

    def serve(self, request):
        self.requests.append(request.path)
        if self.script is not None and self.script(request):
            return None
        if self.password is not None:
            expected = "Basic " + base64.b64encode(f"user:{self.password}".encode()).decode()
            if request.headers.get("Authorization") != expected:
                return self.answer(request, 401, b"{}", {"WWW-Authenticate": 'Basic realm="test"'})
        parts = request.path.split("/")
        key = parts[-1]
        if request.path in ("/v2/", "/v2"):
            return self.answer(request, 200, b"{}")
        if f"/v2/{self.name}/manifests/" in request.path and key in self.manifests:
            kind, data = self.manifests[key]
            return self.answer(request, 200, data, {"Content-Type": kind, "Docker-Content-Digest": digest(data)})
        if f"/v2/{self.name}/blobs/" in request.path and key in self.blobs:
            return self.answer(request, 200, self.blobs[key], {"Content-Type": "application/octet-stream"})
        body = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).encode()
        return self.answer(request, 404, body, {"Content-Type": "application/json"})

    @staticmethod
    def answer(request, status, data, headers=()):
        request.send_response(status)
        for key, value in dict(headers).items():
            request.send_header(key, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)


class DebianRegistry:
    """Debian's docker-registry on a loopback port, with a directory of its own; its log tells what was sent.

    `tls`: files of the server's certificate, its key, and the authority of the clients, all or none.
    """

    def __init__(self, tls=None):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="apus-registry-", dir="/tmp"))
        self.address = f"127.0.0.1:{free_port()}"
        self.log = self.base / "log"
        config = self.base / "config.yml"
        extra = ", tls: {{certificate: {}, key: {}, clientcas: [{}]}}".format(*tls) if tls else ""
        config.write_text(f"""version: 0.1
log: {{level: info, accesslog: {{disabled: false}}}}
storage:
  filesystem: {{rootdirectory: {self.base}/data}}
  delete: {{enabled: true}}
http: {{addr: "{self.address}"{extra}}}
""")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(self.address.split(":"), 1).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()[-2000:]
                time.sleep(0.02)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)
        shutil.rmtree(self.base, ignore_errors=True)

    def mark(self):
        """A place in the log, for `sent` and `received`."""
        return self.log.stat().st_size

    def access(self, since=0):
        """Requests from a place in the log on: method, path, status, bytes of the answer."""
        with open(self.log, "rb") as log:
            log.seek(since)
            text = log.read().decode(errors="replace")
        pattern = r'"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP/1\.[01]" (\d+) (\d+)'
        return [(found[1], found[2], int(found[3]), int(found[4])) for found in re.finditer(pattern, text)]

    def blob_bytes(self, since=0):
        """Bytes of blobs that were downloaded since."""
        return sum(size for method, path, _, size in self.access(since) if method == "GET" and "/blobs/" in path)

    def blob_downloads(self, since=0):
        """How often each blob was downloaded since, by digest: bytes."""
        result = {}
        for method, path, status, size in self.access(since):
            if method == "GET" and "/blobs/" in path and status in (200, 206):
                digest = path.split("/blobs/")[1].split("?")[0]
                result[digest] = result.get(digest, 0) + size
        return result

    def blobs(self):
        """What is stored: sizes by digest."""
        places = (self.base / "data/docker/registry/v2/blobs/sha256").glob("*/*/data")
        return {f"sha256:{path.parent.name}": path.stat().st_size for path in places}

    def put_artifact(self, name, tag):
        """Puts what is no image into a repository."""
        kind = "application/vnd.oci.image.manifest.v1+json"
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2}
        manifest = {
            "schemaVersion": 2, "mediaType": kind, "artifactType": "application/vnd.example.signature", "config": empty,
            "layers": [empty],
        }
        base = f"http://{self.address}/v2/{name}"
        request = urllib.request.Request(f"{base}/blobs/uploads/", b"", method="POST")
        with urllib.request.urlopen(request) as answer:
            place = answer.headers["Location"]
        for address, data, media in [
            (f"{place}&digest={empty['digest']}", b"{}", "application/octet-stream"),
            (f"{base}/manifests/{tag}", json.dumps(manifest).encode(), kind),
        ]:
            request = urllib.request.Request(address, data, {"Content-Type": media}, method="PUT")
            urllib.request.urlopen(request).close()

    def manifest(self, name, reference="latest"):
        """The raw document of a name, and its digest."""
        kinds = ", ".join([
            "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "application/vnd.docker.distribution.manifest.v2+json",
        ])
        request = urllib.request.Request(
            f"http://{self.address}/v2/{name}/manifests/{reference}", headers={"Accept": kinds})
        with urllib.request.urlopen(request) as answer:
            data = answer.read()
        return data, digest(data)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def machine():
    import platform
    return platform.machine().encode()
