"""Daemons and shims that are killed: nothing stops that should go on, nothing is lost, nothing is left."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import Traces, process_gone
from engines import BINARIES, IMAGE, Client

pytestmark = pytest.mark.apusd


def test_containers_survive_the_daemon(own_engine):
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")
    names = [f"c{number}" for number in range(18)]
    for name in names:
        apus("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    apus("run", "-d", "--name", "writer", IMAGE, "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; usleep 10000; done")
    apus("run", "-d", "--name", "leaver", IMAGE, "sh", "-c", "sleep 1.5; exit 23")
    pids = {name: engine.inspect(name)["State"]["Pid"] for name in [*names, "writer"]}
    time.sleep(0.5)
    engine.kill()
    # The leaver leaves while nobody looks.
    time.sleep(2)
    for name, pid in pids.items():
        assert not process_gone(pid), name
    engine.start()
    for name, pid in pids.items():
        state = engine.inspect(name)["State"]
        assert (state["Running"], state["Pid"]) == (True, pid), name
    state = engine.inspect("leaver")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 23)
    # The writer goes on, under the new daemon's eyes, and no line is missing.
    before = len(apus.out("logs", "writer").split())
    time.sleep(0.5)
    lines = apus.out("logs", "writer").split()
    assert len(lines) > before
    assert lines == [str(number) for number in range(1, len(lines) + 1)]
    # It can be stopped, attached and executed in as if nothing had happened.
    assert apus.out("exec", "writer", "echo", "still") == "still"
    apus("stop", "-t", "0", "writer")
    assert engine.inspect("writer")["State"]["ExitCode"] == 137
    apus("rm", "-f", *names, "writer", "leaver")
    Traces(engine, pids).settled(Traces(engine).descriptors())


def test_a_following_client_ends_when_the_daemon_dies(own_engine):
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")
    apus("run", "-d", "--name", "one", IMAGE, "sleep", "1000")
    process = apus.popen("attach", "one")
    time.sleep(0.5)
    engine.kill()
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 125 and b"daemon" in errors
    engine.start()


def test_what_stands_by_may_die(own_engine):
    """Sandboxes made ahead that are killed while they wait: the next instances start all the same, and nothing stays."""
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")

    def waiting():
        found = {path.name for path in (engine.run / "instances").iterdir()}
        return found if len(found) >= 2 else None

    def kill(pid):
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            # Its sandbox was nobody's any more.
            pass

    apus("run", "--rm", IMAGE, "true")
    standing = engine.wait_for(waiting, what="sandboxes to stand by")
    for pid, _ in Traces(engine, standing).shims():
        kill(pid)
    # One that an instance has been created for already dies as well.
    assert apus.out("run", "--rm", IMAGE, "echo", "anyway") == "anyway"
    claimed = apus.out("create", IMAGE, "echo", "later")
    for pid, _ in Traces(engine, [claimed]).shims():
        kill(pid)
    assert apus.out("start", "-a", claimed) == "later"
    apus("rm", claimed)
    # At first the next ones may not have been made yet.
    time.sleep(1)
    engine.wait_for(lambda: not list((engine.run / "instances").iterdir()), timeout=30, what="all of them to go")
    Traces(engine, [*standing, claimed]).settled(Traces(engine).descriptors())
    children = pathlib.Path(f"/proc/{engine.process.pid}/task/{engine.process.pid}/children")
    assert not children.read_text().split(), "processes that nobody has waited for"


def test_a_killed_shim_is_a_dead_container(own_engine):
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")
    for name in ("victim", "other"):
        apus("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    victim, other = engine.inspect("victim"), engine.inspect("other")
    shims = [int(pid) for pid, _ in Traces(engine, [victim["Id"]]).shims()]
    assert len(shims) == 1
    os.kill(shims[0], signal.SIGKILL)
    state = engine.wait_for(
        lambda: (lambda it: it if not it["Running"] else None)(engine.inspect("victim")["State"]),
        what="the container to be reported dead")
    assert state["ExitCode"] != 0
    engine.wait_for(lambda: process_gone(victim["State"]["Pid"]), what="its process to end")
    assert engine.inspect("other")["State"]["Pid"] == other["State"]["Pid"]
    assert apus.out("exec", "other", "echo", "untouched") == "untouched"
    # It is a stopped container like another.
    apus("start", "victim")
    assert apus.out("exec", "victim", "echo", "again") == "again"
    apus("rm", "-f", "victim", "other")
    Traces(engine, [victim["Id"], other["Id"]]).settled(Traces(engine).descriptors())


def test_a_shim_and_the_daemon_killed_together(own_engine):
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")
    apus("run", "-d", "--name", "victim", IMAGE, "sleep", "1000")
    victim = engine.inspect("victim")
    shims = [int(pid) for pid, _ in Traces(engine, [victim["Id"]]).shims()]
    engine.kill()
    for pid in shims:
        os.kill(pid, signal.SIGKILL)
    engine.start()
    assert not engine.inspect("victim")["State"]["Running"]
    engine.wait_for(lambda: process_gone(victim["State"]["Pid"]), what="its process to end")
    apus("rm", "victim")
    Traces(engine, [victim["Id"]]).settled(Traces(engine).descriptors())


def test_an_init_killed_from_outside(own_engine):
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")
    apus("run", "-d", "--name", "one", IMAGE, "sh", "-c", "sleep 1000 & sleep 1000")
    os.kill(engine.inspect("one")["State"]["Pid"], signal.SIGKILL)
    assert apus.out("wait", "one") == "137"


def test_killed_at_any_moment_of_a_start(own_engine):
    """The daemon dies while containers are being made and started; the next one makes sense of what it finds."""
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.05):
        processes = [
            apus.popen("run", "-d", "--name", f"n{delay}-{number}", IMAGE, "sleep", "1000") for number in range(4)
        ]
        time.sleep(0.02 + delay)
        engine.kill()
        for process in processes:
            process.communicate(timeout=30)
        engine.start()
        for container in engine.request("GET", "/containers/json?all=1").json:
            it = engine.inspect(container["Id"])
            assert it["State"]["Status"] in ("created", "running", "exited", "dead")
            if it["State"]["Running"]:
                assert not process_gone(it["State"]["Pid"])
                apus("exec", container["Id"], "true")
            apus("rm", "-f", container["Id"])
    ids = {path.split("/")[-1] for path in Traces(engine).files()}
    Traces(engine, ids).settled(Traces(engine).descriptors())
    assert not Traces(engine).files()


def test_restart_policies_hold_over_a_restart(own_engine):
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")
    apus("run", "-d", "--name", "always", "--restart", "always", IMAGE, "sleep", "1000")
    apus("run", "-d", "--name", "never", IMAGE, "sleep", "1000")
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("always", "never")]
    engine.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    engine.start()
    engine.wait_for(lambda: engine.inspect("always")["State"]["Running"], what="the policy to be kept")
    assert not engine.inspect("never")["State"]["Running"]


def test_shutdown_leaves_containers_running(own_engine):
    engine, apus = own_engine, Client(own_engine, BINARIES / "apus")
    apus("run", "-d", "--name", "one", IMAGE, "sleep", "1000")
    pid = engine.inspect("one")["State"]["Pid"]
    engine.terminate()
    assert engine.process.returncode == 0 and not process_gone(pid)
    assert not engine.socket.exists()
    engine.start()
    assert engine.inspect("one")["State"]["Pid"] == pid


def test_two_daemons_side_by_side(own_engine, engine):
    first, second = Client(engine, BINARIES / "apus"), Client(own_engine, BINARIES / "apus")
    second("run", "-d", "--name", "mine", IMAGE, "sleep", "1000")
    assert first("inspect", "mine", check=False).returncode == 1
    assert second.out("ps", "--format", "{{.Names}}") == "mine"


def test_one_root_has_one_daemon(own_engine):
    result = subprocess.run(
        [*own_engine.command()[:-1], str(own_engine.base / "other")], capture_output=True, text=True, timeout=20,
        check=False)
    assert result.returncode != 0 and str(own_engine.root) in result.stderr + result.stdout
    assert own_engine.request("GET", "/_ping").status == 200
