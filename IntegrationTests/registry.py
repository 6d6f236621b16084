"""A registry of one image, for pulls: the distribution protocol as far as a client of it needs."""

import base64
import gzip
import hashlib
import http.server
import json
import threading

import images


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """Serves `name` by tag and digest, behind an index; with basic authentication when a password is given."""

    def __init__(self, name="team/box", password=None, compress=gzip.compress):
        self.name, self.password, self.blobs, self.manifests, self.requests = name, password, {}, {}, []
        layers = [images.archive()]
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


def machine():
    import platform
    return platform.machine().encode()
