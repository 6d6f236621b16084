"""Writes the inputs that fuzzing of one target begins with: seeds.py TARGET DIRECTORY."""

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile

DIGEST = "sha256:" + "0123456789abcdef" * 4


def archive(form):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", link="", **pax):
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname, entry.mtime = kind, len(data), link, 1.5
            entry.pax_headers = pax
            tar.addfile(entry, io.BytesIO(data))

        add("d", tarfile.DIRTYPE)
        add("d/f", data=b"x" * 700)
        add("d/" + "n" * 120, data=b"long")
        add("l", tarfile.SYMTYPE, link="d")
        add("l/through", data=b"1")
        add("h", tarfile.LNKTYPE, link="later")
        add("later", data=b"y" * 5000)
        add("c", tarfile.CHRTYPE)
        add("p", tarfile.FIFOTYPE)
        add("d/.wh.gone")
        add("d/.wh..wh..opq")
        add("d", data=b"now a file")
        if form == tarfile.PAX_FORMAT:
            add("x", **{"SCHILY.xattr.user.a": "b", "mtime": "-1.25", "uid": "4000000000"})
            add("s", data=b"12345678", **{"GNU.sparse.size": "100000", "GNU.sparse.map": "5,3,99995,5"})
            add("t", data=b"1\n90000\n4\n".ljust(512, b"\0") + b"abcd", **{
                "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100000", "GNU.sparse.name": "u"})
    return out.getvalue()


def layer():
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        try:
            yield b"\xff" + archive(form)
        except ValueError:
            continue


def decompress():
    data = b"the same again and again " * 200 + bytes(range(256))
    for compressed in (gzip.compress(data), bz2.compress(data), lzma.compress(data)):
        yield b"\x20" + compressed
        yield b"\x01" + compressed + compressed
    if shutil.which("zstd"):
        compressed = subprocess.run(["zstd", "-q"], input=data, stdout=subprocess.PIPE, check=True).stdout
        yield b"\x20" + compressed
        yield b"\x20\x50\x2a\x4d\x18\x02\x00\x00\x00\x00\x00" + compressed


def documents():
    one = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 5}
    platform = {"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1", "os.features": ["a"]}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": one,
                "layers": [one, one], "subject": one, "annotations": {"a": "b"}, "artifactType": "x/y"}
    index = {"schemaVersion": 2, "manifests": [dict(one, platform=platform), one], "annotations": {}}
    config = {"created": "2024-02-29T12:00:00.5+01:00", "author": "a", "architecture": "amd64", "os": "linux",
              "config": {"User": "u", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Entrypoint": ["/e"], "Cmd": "c",
                         "Volumes": {"/v": {}}, "Labels": {"l": "m"}, "Healthcheck": {"Test": ["CMD", "x"], "Retries": 3}},
              "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
              "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "b", "empty_layer": True}]}
    for number, document in enumerate((manifest, index, config)):
        yield bytes([number]) + json.dumps(document).encode()


def reference():
    for text in ("debian", "debian:12", "localhost:5000/a/b-c__d.e:Tag@" + DIGEST, "[::1]:80/x", "index.docker.io/x",
                 "linux/arm/v7", "windows", "x86_64", DIGEST, "2024-02-29T12:00:00.123456789+01:00", "a" * 64):
        yield text.encode()


def main():
    target, directory = sys.argv[1:]
    for number, seed in enumerate(globals()[target]()):
        with open(os.path.join(directory, f"seed-{number}"), "wb") as file:
            file.write(seed)


main()
