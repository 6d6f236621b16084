"""Many cycles leave as much behind as none."""

import concurrent.futures
import time
import os
import pathlib
import socket

import pytest

import networks
from conftest import Traces
from engines import IMAGE

pytestmark = pytest.mark.apusd


def namespaces():
    """Every namespace that a process is in."""
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/ns/*"):
        try:
            found.add(os.readlink(path))
        except OSError:
            continue
    return found


def files(engine):
    """But for the database, and for marks of what has yet to reach the disk, which go by themselves."""
    return sorted(
        str(path) for base in (engine.root, engine.run) for path in base.rglob("*")
        if not path.name.startswith("apus.db") and "unsynced" not in path.parts)


def at_rest(engine):
    """Waits until nothing stands by for the next instance any more. At first there may be nothing yet."""
    time.sleep(1)
    engine.wait_for(lambda: not list((engine.run / "instances").iterdir()), timeout=30, what="standby shims to go")


@pytest.mark.slow
def test_five_hundred_cycles(own_engine):
    """500 times create, start, stop, remove, 8 at a time."""
    engine = own_engine
    request = engine.request
    ids = set()

    def cycle(number):
        answer = request("POST", "/containers/create", {
            "Image": IMAGE, "Cmd": ["sleep", "1000"], "HostConfig": {"Init": True}})
        assert answer.status == 201, answer.body
        identifier = answer.json["Id"]
        ids.add(identifier)
        assert request("POST", f"/containers/{identifier}/start").status == 204
        assert request("POST", f"/containers/{identifier}/stop?t=5").status == 204
        assert request("DELETE", f"/containers/{identifier}?v=1").status == 204

    cycle(0)  # What is made once (a layer's mount, a pool) is made now.
    at_rest(engine)
    Traces(engine, ids).settled(Traces(engine).descriptors())
    before = (Traces(engine).mounts(), Traces(engine).descriptors(), files(engine), namespaces())
    before_networks = networks.at_rest(engine)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(cycle, range(500)))
    at_rest(engine)
    Traces(engine, ids).settled(before[1] + 4)
    assert len(Traces(engine).mounts()) <= len(before[0])
    assert files(engine) == before[2]
    networks.settled(engine, before_networks)
    assert len(namespaces()) <= len(before[3]) + 8  # Others on the machine come and go.


def test_failed_starts_leave_nothing(own_engine):
    engine = own_engine
    ids = set()
    descriptors = None
    for number in range(30):
        answer = engine.request("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["no-such-program"]})
        identifier = answer.json["Id"]
        ids.add(identifier)
        assert engine.request("POST", f"/containers/{identifier}/start").status in (400, 404)
        assert engine.request("DELETE", f"/containers/{identifier}").status == 204
        if number == 5:
            descriptors = Traces(engine).descriptors()
    Traces(engine, ids).settled(descriptors + 2)


def test_clients_that_leave_cost_nothing(own_engine):
    """Attached, following and waiting clients that vanish."""
    engine = own_engine
    identifier = engine.request(
        "POST", "/containers/create",
        {"Image": IMAGE, "Cmd": ["sh", "-c", "while :; do echo x; usleep 1000; done"], "OpenStdin": True}).json["Id"]
    engine.request("POST", f"/containers/{identifier}/start")
    descriptors = Traces(engine).descriptors()
    for path in ("attach?stream=1&stdout=1&stdin=1", "logs?follow=1&stdout=1", "wait"):
        method = "GET" if path.startswith("logs") else "POST"
        for _ in range(10):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(str(engine.socket))
            head = f"{method} /containers/{identifier}/{path} HTTP/1.1\r\nHost: x\r\n"
            upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if path.startswith("attach") else ""
            connection.sendall((head + upgrade + "Content-Length: 0\r\n\r\n").encode())
            if path != "wait":
                connection.recv(1000)
            connection.close()
    engine.wait_for(lambda: Traces(engine).descriptors() <= descriptors + 3, what="descriptors to be closed")
    assert engine.inspect(identifier)["State"]["Running"]
