"""Images survive: the daemon killed at any moment of a pull, and power cuts.

How often: APUS_TEST_KILLS and APUS_TEST_CUTS (a few in the suite; fifty and twenty by hand).
"""

import fcntl
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tarfile
import threading
import time

import pytest

import networks
from engines import BINARIES, Client, Engine
from registry import Registry, digest

pytestmark = pytest.mark.apusd

KILLS = int(os.environ.get("APUS_TEST_KILLS", "6"))
CUTS = int(os.environ.get("APUS_TEST_CUTS", "2"))
SEED = int(os.environ.get("APUS_TEST_SEED", "0")) or random.randrange(1 << 30)


class LayeredRegistry(Registry):
    """One image of several layers, each a few megabytes that do not compress, sent at a bounded speed."""

    def __init__(self, layers=6, size=3 << 20):
        super().__init__()
        kind, data = self.manifests[self.manifest_digest]
        manifest = json.loads(data)
        config = json.loads(self.blobs[manifest["config"]["digest"]])
        for number in range(layers):
            archive = _archive(f"data/part{number}", random.randbytes(size))
            layer = gzip.compress(archive, 1)
            manifest["layers"].append({"mediaType": manifest["layers"][0]["mediaType"], **self.blob(layer)})
            config["rootfs"]["diff_ids"].append(digest(archive))
        del config["history"]
        manifest["config"].update(self.blob(json.dumps(config).encode()))
        data = json.dumps(manifest).encode()
        self.manifests["1"] = self.manifests[digest(data)] = (kind, data)
        self.layers = [layer["digest"] for layer in manifest["layers"]]
        #: Bytes of each blob that were sent, and the seconds to wait after each piece.
        self.sent, self.pause = {}, 0.0
        self.lock = threading.Lock()
        self.script = self.slowly

    def slowly(self, request):
        key = request.path.split("/")[-1]
        if request.command != "GET" or key not in self.layers:
            return False
        data = self.blobs[key]
        first, last = 0, len(data) - 1
        wanted = request.headers.get("Range")
        if wanted:
            begin, end = wanted[6:].split("-")
            first, last = int(begin), min(int(end), last) if end else last
        request.send_response(206 if wanted else 200)
        if wanted:
            request.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(last - first + 1))
        request.end_headers()
        try:
            for start in range(first, last + 1, 64 << 10):
                piece = data[start:min(start + (64 << 10), last + 1)]
                request.wfile.write(piece)
                with self.lock:
                    self.sent[key] = self.sent.get(key, 0) + len(piece)
                if self.pause:
                    time.sleep(self.pause)
        except OSError:
            request.close_connection = True
        return True


def _archive(name, data):
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return output.getvalue()


@pytest.fixture(scope="module")
def layered():
    print(f"seed {SEED}")
    random.seed(SEED)
    registry = LayeredRegistry()
    yield registry
    registry.close()


def pull(engine, name):
    """A pull that may lose its daemon."""
    return subprocess.Popen(
        [str(BINARIES / "apus"), "pull", "-q", name], env=engine.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def complete_blobs(root):
    return {f"sha256:{path.name}" for path in (root / "content" / "blobs" / "sha256").iterdir()}


def check_store(root):
    """What has a name is what its name says."""
    for path in (root / "content" / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def check_next_pull(engine, registry, name, complete):
    """The next pull succeeds, downloads nothing that was complete, and the image runs."""
    client = Client(engine, BINARIES / "apus")
    registry.sent, registry.pause = {}, 0
    client("pull", "-q", name, timeout=120)
    again = complete & set(registry.sent)
    assert not again, f"complete, and downloaded again: {again}"
    assert client.out("run", "--rm", name, "sh", "-c", "cat /data/part* | wc -c") == str(6 * (3 << 20))
    check_store(engine.root)
    # Nothing unfinished is left.
    assert not list((engine.root / "content" / "partial").iterdir())
    assert not list((engine.root / "content" / "ingest").iterdir())
    return sum(registry.sent.values())


@pytest.mark.slow
def test_the_daemon_is_killed_at_any_moment_of_a_pull(layered):
    name = f"{layered.address}/team/box:1"
    total = sum(len(layered.blobs[key]) for key in layered.layers)
    engine = Engine().start()
    saved = []
    try:
        for number in range(KILLS):
            layered.pause, layered.sent = 0.004, {}
            running = pull(engine, name)
            time.sleep(random.uniform(0.0, 1.2))
            engine.kill()
            running.wait(timeout=60)
            complete = complete_blobs(engine.root) & set(layered.layers)
            partial = sum(path.stat().st_size for path in (engine.root / "content" / "partial").iterdir())
            engine.start()
            sent = check_next_pull(engine, layered, name, complete)
            here = sum(len(layered.blobs[key]) for key in complete) + partial
            saved.append((here, total - sent))
            # What was there, whole or in part, was not sent again, but for what a disk block rounds off.
            assert sent <= total - here + 7 * (64 << 10), (number, sent, total, here)
            Client(engine, BINARIES / "apus")("rmi", "-f", name)
            engine.wait_for(
                lambda: not complete_blobs(engine.root) & set(layered.layers), what="the image to be removed")
    finally:
        engine.close()
    assert any(here > 0 for here, _ in saved), "no kill hit the middle of a pull"


class Disk:
    """An ext4 file system in a file, mounted at an engine's root, whose power can be cut."""

    #: FS_IOC_GOINGDOWN and its flag for "do not even write the journal": from then on nothing reaches the disk.
    SHUTDOWN, NO_FLUSH = 0x8004587D, 2

    def __init__(self, engine, size=256 << 20):
        self.root = engine.root
        self.image = engine.base / "disk"
        with open(self.image, "wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)
        self.root.mkdir(parents=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.root)], check=True)

    def cut(self):
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, self.SHUTDOWN, struct.pack("I", self.NO_FLUSH))
        finally:
            os.close(descriptor)

    def power_on(self):
        """The file system as the disk holds it, and the marks of the last boot as those of an earlier one."""
        # What the killed daemon had standing by ends by itself, but not at the very same moment.
        deadline = time.monotonic() + 10
        while subprocess.run(["umount", str(self.root)], check=False).returncode != 0:
            assert time.monotonic() < deadline, "the file system stays in use"
            time.sleep(0.05)
        attached = subprocess.run(["losetup", "-j", str(self.image)], capture_output=True, text=True, check=True).stdout
        assert not attached, attached
        self.mount()
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for marks in self.root.rglob(f"unsynced/{boot}"):
            earlier = marks.with_name("00000000-0000-0000-0000-000000000000")
            shutil.rmtree(earlier, ignore_errors=True)
            marks.rename(earlier)


def power_cut(engine, disk):
    mark = networks.identity(engine)
    disk.cut()
    engine.kill()
    # Nor does anything of the networks outlast it.
    networks.left_behind(engine, mark)
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        if line.split()[1].startswith(f"{engine.run}/"):
            subprocess.run(["umount", line.split()[1]], check=True)
    disk.power_on()
    engine.start()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(CUTS))
def test_a_power_cut_at_any_moment_of_a_pull(layered, number):
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("there is no mkfs.ext4 here")
    name = f"{layered.address}/team/box:1"
    engine = Engine()
    disk = Disk(engine)
    try:
        layered.pause, layered.sent = 0.004, {}
        engine.start()
        running = pull(engine, name)
        # Often in the middle; sometimes when it is over, and only the disk has not got everything yet.
        moment = random.uniform(0.1, 5.0)
        time.sleep(moment)
        power_cut(engine, disk)
        running.wait(timeout=120)
        # Whatever is known has its content.
        client = Client(engine, BINARIES / "apus")
        known = client.out("images", "-q", "--no-trunc").split()
        for image in known:
            client("history", image)
            assert client("save", image, text=False).returncode == 0
        check_store(engine.root)
        complete = complete_blobs(engine.root) & set(layered.layers)
        sent = check_next_pull(engine, layered, name, complete)
        print(f"cut after {moment:.2f} s: {len(known)} images, {len(complete)} layers there; {sent} bytes sent again")
        # A cut after the flush in the background costs nothing.
        engine.wait_for(lambda: not list(engine.root.rglob("unsynced/*/*")), timeout=60, what="the flush")
        power_cut(engine, disk)
        assert client.out("run", "--rm", name, "cat", "/data/seed") == "from the image"
        assert check_next_pull(engine, layered, name, set(layered.layers)) == 0
    finally:
        engine.close()
