"""Fixtures: one engine for the session, clients for it, names that are cleaned up, and a search for leaks."""

import json
import os
import pathlib
import shutil
import time

import pytest

import images
import networks
import world
from engines import BINARIES, IMAGE, Client, DockerEngine, Engine


def make_engine():
    return DockerEngine() if os.environ.get("APUS_TEST_ENGINE") == "dockerd" else Engine()


def pytest_collection_modifyitems(items):
    if os.environ.get("APUS_TEST_ENGINE") == "dockerd":
        skip = pytest.mark.skip(reason="only for the engine of this repository")
        for item in items:
            if "apusd" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def engine():
    """The engine that most tests share, with the test image."""
    if os.geteuid() != 0:
        pytest.skip("containers need root")
    engine = make_engine()
    try:
        yield images.load(engine.start())
    finally:
        engine.close()


@pytest.fixture
def own_engine():
    """An engine for one test, which may kill it."""
    engine = make_engine()
    try:
        yield images.load(engine.start())
    finally:
        engine.close()


@pytest.fixture(scope="session")
def host_engine():
    """The engine of a small world of its own, for the tests of networks (world.py)."""
    if os.geteuid() != 0:
        pytest.skip("containers need root")
    with world.small_world() as engine:
        yield engine


@pytest.fixture(scope="session")
def apus(engine):
    return Client(engine, BINARIES / "apus")


@pytest.fixture(scope="session")
def docker(engine):
    program = shutil.which("docker")
    if program is None:
        pytest.skip("there is no docker command line here")
    return Client(engine, program)


@pytest.fixture(params=["docker", "apus"])
def cli(request):
    """Each command line in turn: what one can, the other must."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def name(engine, request):
    """Makes names of containers, and removes what bears them when the test ends."""
    made = []

    def make(suffix=""):
        made.append(f"t{os.getpid()}-{time.monotonic_ns() % 10**10}{suffix}")
        return made[-1]

    yield make
    for name in made:
        engine.request("DELETE", f"/containers/{name}?force=1&v=1")


@pytest.fixture
def sleeper(cli, name):
    """The name of a container that sleeps."""
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "sleep", "1000")
    return chosen


@pytest.fixture
def volume(engine):
    """Makes names of volumes, and removes them when the test ends."""
    made = []

    def make():
        made.append(f"v{os.getpid()}-{time.monotonic_ns() % 10**10}")
        return made[-1]

    yield make
    for name in made:
        engine.request("DELETE", f"/volumes/{name}?force=1")


#: Where containers' cgroups are: in each hierarchy of version 1, or in the one of version 2.
CGROUPS = [f"/sys/fs/cgroup/{name}apus" for name in ["", *(f"{it}/" for it in os.listdir("/sys/fs/cgroup"))]]


class Traces:
    """What an engine leaves in the kernel and on disk."""

    def __init__(self, engine, ids=()):
        self.engine, self.ids = engine, set(ids)

    def mounts(self):
        base = str(self.engine.base)
        return [
            line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if base + "/" in line
        ]

    def shims(self):
        """Processes, other than the daemon, that its directories or its containers' ids name."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.engine.process.pid:
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[0].endswith("apus-runtime") and self.ids.intersection(words):
                found.append((entry.name, words))
        return found

    def cgroups(self):
        found = []
        for parent in CGROUPS:
            found += [f"{parent}/{identifier}" for identifier in self.ids if os.path.isdir(f"{parent}/{identifier}")]
        return found

    def networks(self):
        """Addresses that these containers have, and interfaces on the engine's bridges that nobody has."""
        _, strays = networks.cables(self.engine)
        return [it for it in networks.leases(self.engine) if it in self.ids] + ["interface"] * strays

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.engine.process.pid}/fd"))

    def files(self):
        """Files of instances, under the root and the run directory."""
        return [str(path) for base in (self.engine.root, self.engine.run) for path in (base / "instances").glob("*")]

    def settled(self, descriptors, timeout=15):
        """Waits until nothing of the containers is left; says what is."""
        deadline = time.monotonic() + timeout
        while True:
            left = {
                "shims": self.shims(),
                "cgroups": self.cgroups(),
                "files": [path for path in self.files() if pathlib.Path(path).name in self.ids],
                "networks": self.networks(),
                "descriptors": max(0, self.descriptors() - descriptors),
            }
            if not any(left.values()):
                return
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


@pytest.fixture
def no_leaks(engine):
    """The test must leave no process, cgroup, file or descriptor behind. It may add ids of containers to the set."""
    if not engine.is_apus:
        yield set()
        return
    since = time.time()
    ids = set()
    # Caches and connections of earlier tests have settled by then.
    time.sleep(0.1)
    descriptors = Traces(engine).descriptors()
    yield ids
    answer = engine.request(
        "GET", f"/events?since={since - 1:.3f}&until={time.time():.3f}"
        "&filters=%7B%22event%22%3A%5B%22create%22%5D%2C%22type%22%3A%5B%22container%22%5D%7D")
    for line in answer.body.splitlines():
        if line.strip():
            ids.add(json.loads(line)["Actor"]["ID"])
    existing = {container["Id"] for container in engine.request("GET", "/containers/json?all=1").json}
    # Pools and event loops that were started meanwhile hold some; a leak has one for each container.
    Traces(engine, ids - existing).settled(descriptors + 10)


def process_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


@pytest.fixture(scope="session")
def debian(engine):
    """Debian 12 made from the machine's package mirror, kept in the user's cache between sessions.

    With APUS_TEST_LARGE=1 it has compilers and more: 190 MB instead of 31, compressed.
    """
    if os.environ.get("APUS_TEST_LARGE") == "1":
        return images.load_debian(
            engine, "debian:12", "debian-12-large", "build-essential", "git", "vim", "python3", "perl")
    return images.load_debian(engine, "debian:12", "debian-12")
