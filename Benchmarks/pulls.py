"""Pulls and removals of images, from one registry on this machine, by every engine in turn.

Two images: a Debian with a few packages, one layer of about 170 MB unpacked; and ten layers of 20 MB. Wall time is that of
the engine's own `pull`; processor time that of the command and of all of the engine's processes. Beside them
`skopeo copy` to a directory: a download and nothing else.
"""

import gzip
import hashlib
import io
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
import urllib.request

import peers  # noqa: F401  (makes the tests' modules known)
from registry import DebianRegistry

#: To be reached, as shares of the better of docker and podman: wall and processor time of a pull, wall time of a removal.
PULL_TARGET, CPU_TARGET, REMOVE_TARGET = 1 / 4, 1 / 2, 1 / 20
PACKAGES = "perl,git,python3,vim"
TICK = os.sysconf("SC_CLK_TCK")


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def request(method, url, data=None, kind="application/octet-stream"):
    message = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
    with urllib.request.urlopen(message) as answer:
        answer.read()
        return answer.headers


def upload(address, name, data):
    """One blob, whole."""
    location = request("POST", f"http://{address}/v2/{name}/blobs/uploads/", b"")["Location"]
    location = location if location.startswith("http") else f"http://{address}{location}"
    mark = "&" if "?" in location else "?"
    request("PUT", f"{location}{mark}digest={digest(data)}", data)
    return {"digest": digest(data), "size": len(data)}


def ten_layers(address, name="ten"):
    """An image of ten layers of 20 MB, half of it compressible."""
    source = random.Random(1)
    layers, diffs = [], []
    for number in range(10):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for file in range(160):
                info = tarfile.TarInfo(f"data/{number}/{file}")
                info.size = 128 << 10
                content = source.randbytes(64 << 10) + bytes(64 << 10)
                archive.addfile(info, io.BytesIO(content))
        diffs.append(digest(buffer.getvalue()))
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        layers.append({"mediaType": kind, **upload(address, name, gzip.compress(buffer.getvalue(), 6))})
    config = json.dumps({
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **upload(address, name, config)},
        "layers": layers}).encode()
    request("PUT", f"http://{address}/v2/{name}/manifests/1", manifest, "application/vnd.oci.image.manifest.v1+json")
    return f"{address}/{name}:1"


def debian(peer, address):
    """Debian, made by our engine and pushed from there."""
    name = f"{address}/debian:12"
    run = lambda *words: subprocess.run(
        [*peer.client(), *words], env=peer.environment(), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    run("image", "bootstrap", "debian:12", "--include", PACKAGES)
    run("tag", "debian:12", name)
    run("push", name)
    run("rmi", "-f", name, "debian:12")
    return name


def processor(peer):
    """Seconds of processor time that the engine's processes have used so far, with those that have ended."""
    total = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            words = open(f"/proc/{entry}/cmdline", "rb").read().decode().split("\0")
            fields = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if peer.is_own(int(entry), words):
            total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return total / TICK + children.ru_utime + children.ru_stime


def pull(peer, name):
    insecure = ["--tls-verify=false"] if peer.name == "podman" else []
    before, started = processor(peer), time.perf_counter()
    subprocess.run(
        [*peer.client(), "pull", *insecure, name], env=peer.environment(), check=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    return wall, processor(peer) - before


def remove(peer, name):
    started = time.perf_counter()
    subprocess.run([*peer.client(), "rmi", name], env=peer.environment(), check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def download(name):
    """skopeo's copy: wall and processor time."""
    target = tempfile.mkdtemp(prefix="bench-", dir="/tmp")
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    try:
        subprocess.run(
            ["skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{target}"], check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(peers, rounds):
    """The table, as text."""
    registry = DebianRegistry()
    try:
        own = next(peer for peer in peers if peer.name == "apus")
        images = {"Debian, one layer": debian(own, registry.address), "ten layers of 20 MB": ten_layers(registry.address)}
        names = [peer.name for peer in peers]
        lines = ["| | " + " | ".join(names) + " | skopeo copy | apus to the better |",
                 "|---|" + "---|" * (len(names) + 2)]
        for label, image in images.items():
            walls = {name: [] for name in [*names, "skopeo"]}
            cpus = {name: [] for name in [*names, "skopeo"]}
            removals = {name: [] for name in names}
            for number in range(rounds + 1):
                for peer in [*peers, None]:
                    # What others have written is on the disk before the next one begins.
                    os.sync()
                    time.sleep(0.3)
                    name = peer.name if peer else "skopeo"
                    wall, cpu = pull(peer, image) if peer else download(image)
                    gone = remove(peer, image) if peer else None
                    if number:  # The first round fills caches.
                        walls[name].append(wall)
                        cpus[name].append(cpu)
                        if gone is not None:
                            removals[name].append(gone)
            for title, figures, unit in (("pull", walls, "s"), ("pull, processor time", cpus, "s"),
                                         ("rmi", removals, "s")):
                cells = [f"{min(figures[name]):.3f} / {statistics.median(figures[name]):.3f}" if name in figures else ""
                         for name in [*names, "skopeo"]]
                others = [statistics.median(figures[name]) for name in names if name != "apus"]
                ratio = f"1/{min(others) / statistics.median(figures['apus']):.1f}" if others else ""
                lines.append(f"| {title}, {label}, {unit} | " + " | ".join(cells) + f" | {ratio} |")
                print(lines[-1])
        return "\n".join(lines) + "\n"
    finally:
        registry.close()
