"""A small world for tests of networks: the host that the engine runs on, and two machines outside.

    outside 198.51.100.2 ─── wan0 host lan0 ─── peer 203.0.113.2
          2001:db8:1::2                         2001:db8:2::2

Both machines send everything else to the host, so that only the host can keep them from instances' own addresses. What
the engine makes in the host's namespace, no test of others sees, and goes with the namespace.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

import pytest

import images
from engines import BINARIES, IMAGE, Client, DockerEngine, Engine
from places import Machine, Place, plug

HOST = {"wan4": "198.51.100.1", "wan6": "2001:db8:1::1", "lan4": "203.0.113.1", "lan6": "2001:db8:2::1"}
OUTSIDE = {4: "198.51.100.2", 6: "2001:db8:1::2"}
PEER = {4: "203.0.113.2", 6: "2001:db8:2::2"}


class World:
    def __init__(self):
        self.host, self.outside, self.peer = Machine("host"), Machine("outside"), Machine("peer")
        plug(self.host, "wan0", [f"{HOST['wan4']}/24", f"{HOST['wan6']}/64"],
             self.outside, "eth0", [f"{OUTSIDE[4]}/24", f"{OUTSIDE[6]}/64"])
        plug(self.host, "lan0", [f"{HOST['lan4']}/24", f"{HOST['lan6']}/64"],
             self.peer, "eth0", [f"{PEER[4]}/24", f"{PEER[6]}/64"])
        for machine, side in ((self.outside, "wan"), (self.peer, "lan")):
            machine.run("ip", "route", "add", "default", "via", HOST[f"{side}4"])
            machine.run("ip", "-6", "route", "add", "default", "via", HOST[f"{side}6"])
        # The name server on the host's loopback, where it has one, is a test's.
        self.resolver = tempfile.NamedTemporaryFile("w", prefix="apus-resolv-")
        self.resolver.write(f"nameserver 127.0.0.1\nnameserver {OUTSIDE[4]}\n")
        self.resolver.flush()
        subprocess.run([*self.host.entering(), "mount", "--bind", self.resolver.name, "/etc/resolv.conf"], check=True)
        # The host is no router before the engine makes it one.
        self.host.set("net.ipv4.ip_forward", 0)
        self.host.set("net.ipv6.conf.all.forwarding", 0)

    def close(self):
        for machine in (self.outside, self.peer, self.host):
            machine.close()
        self.resolver.close()


class HostEngine(Engine):
    """An engine on the world's host."""

    def __init__(self, world, *options):
        super().__init__(*options)
        self.host.close()
        self.world, self.host, self.places = world, world.host, {}

    def command(self):
        return [*self.host.entering(), *super().command()]

    def create(self, name, *command, network=None, image=IMAGE, **settings):
        """A container by the raw API; `network`: the name of its network, or a dictionary of several endpoints.

        Other settings are the API's: Hostname=…, HostConfig={…}.
        """
        body = {"Image": image, "Cmd": list(command) or ["sleep", "1000"], "StopSignal": "SIGKILL", **settings}
        host = body["HostConfig"] = dict(settings.get("HostConfig", {}))
        if "PortBindings" in host:
            body.setdefault("ExposedPorts", {port: {} for port in host["PortBindings"]})
        if isinstance(network, dict):
            body["NetworkingConfig"] = {"EndpointsConfig": network}
            host.setdefault("NetworkMode", next(iter(network)))
        elif network is not None:
            host["NetworkMode"] = network
        answer = self.request("POST", f"/containers/create?name={name}", body)
        assert answer.status == 201, answer.body
        return answer.json["Id"]

    def run_container(self, name, *command, **settings):
        identifier = self.create(name, *command, **settings)
        answer = self.request("POST", f"/containers/{name}/start")
        assert answer.status == 204, answer.body
        return identifier

    def place(self, name):
        """Where a running container's sockets are."""
        pid = self.inspect(name)["State"]["Pid"]
        if name not in self.places or self.places[name].pid != pid:
            self.places[name] = Place(name, pid)
        return self.places[name]

    def endpoint(self, name, network=None):
        """What inspect says of a container in a network, or in its only one."""
        networks = self.inspect(name)["NetworkSettings"]["Networks"]
        return networks[network] if network else next(iter(networks.values()))

    def network(self, name):
        answer = self.request("GET", f"/networks/{name}")
        assert answer.status == 200, answer.body
        return answer.json

    def make_network(self, name, **settings):
        answer = self.request("POST", "/networks/create", {"Name": name, "CheckDuplicate": True, **settings})
        assert answer.status == 201, answer.body
        return answer.json["Id"]

    def ports(self, name):
        """What is published: `80/tcp` → [(address, port), …]."""
        found = self.inspect(name)["NetworkSettings"]["Ports"] or {}
        return {port: [(it["HostIp"], int(it["HostPort"])) for it in bindings]
                for port, bindings in found.items() if bindings}

    def forget(self, name):
        """Closes what holds a container's namespace."""
        if place := self.places.pop(name, None):
            place.close()

    def close(self):
        for name in list(self.places):
            self.forget(name)
        super().close()


class HostDockerEngine(HostEngine):
    """Debian's dockerd on the world's host, to check the tests themselves."""

    is_apus = False

    def command(self):
        words = [word for word in DockerEngine.command(self) if word not in ("--bridge=none", "--iptables=false")]
        return [*self.host.entering(), *words]


def make_engine(world, *options):
    return HostDockerEngine(world) if os.environ.get("APUS_TEST_ENGINE") == "dockerd" else HostEngine(world, *options)


@contextlib.contextmanager
def small_world():
    """A world with an engine that has the test image."""
    world = World()
    try:
        engine = make_engine(world)
        try:
            yield images.load(engine.start())
        finally:
            engine.close()
    finally:
        world.close()


# Fixtures to import where tests are to be in the world: there they take the place of those with the same names.


@pytest.fixture(scope="module")
def engine(host_engine):
    return host_engine


@pytest.fixture(scope="module")
def world(host_engine):
    return host_engine.world


@pytest.fixture
def own_host_engine():
    """A world and its engine for one test, which may kill or break both."""
    with small_world() as engine:
        yield engine


@pytest.fixture(scope="module")
def apus(engine):
    return Client(engine, BINARIES / "apus")


@pytest.fixture(scope="module")
def docker(engine):
    program = shutil.which("docker")
    if program is None:
        pytest.skip("there is no docker command line here")
    return Client(engine, program)


@pytest.fixture
def name(name, engine):
    """As everywhere; what the test holds of the containers' namespaces is let go before they are removed."""
    yield name
    for place in list(engine.places):
        engine.forget(place)


@pytest.fixture(scope="module")
def debian(engine):
    return images.load_debian(engine, "debian:12", "debian-12")


@pytest.fixture
def network(engine):
    """Makes networks by the raw API, or only names of some; removes them, with who is in them, when the test ends."""
    made = []

    def make(create=True, **settings):
        name = f"n{os.getpid()}-{time.monotonic_ns() % 10**10}"
        made.append(name)
        if create:
            engine.make_network(name, **settings)
        return name

    yield make
    for name in made:
        detail = engine.request("GET", f"/networks/{name}")
        if detail.status == 200:
            for identifier in detail.json.get("Containers") or {}:
                engine.request("DELETE", f"/containers/{identifier}?force=1&v=1")
            engine.request("DELETE", f"/networks/{name}")
