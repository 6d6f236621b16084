"""The shim alone, without a daemon: real containers of a static busybox.

APUS_RUNTIME names the executable; the default is build/bin/apus-runtime.
"""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

import shim_client
from shim_client import Failed, Shim, cgroups, make_root

RUNTIME = os.environ.get(
    "APUS_RUNTIME", os.path.join(os.path.dirname(__file__), "..", "build", "bin", "apus-runtime"))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")


@pytest.fixture(scope="session")
def lower(tmp_path_factory):
    yield make_root(str(tmp_path_factory.mktemp("root")))
    shim_client.remove_cgroup_parent()


@pytest.fixture
def shims(tmp_path, lower):
    made = []

    def make(name=None):
        name = name or f"c{len(made)}"
        directory = tmp_path / name
        directory.mkdir()
        made.append(Shim(RUNTIME, name, str(directory), lower))
        return made[-1]

    yield make
    for shim in made:
        shim.cleanup()
    for shim in made:
        assert cgroups(shim.identifier) == []
        assert not os.path.exists(shim.socket_path)


@pytest.fixture
def shim(shims):
    return shims()


def wait_for(condition, timeout=5):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def targets(pid):
    """What the descriptors of a process are open for."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return sorted(found)


def test_runs_a_program(shim):
    started = time.time_ns()
    pid = shim.create(["sh", "-c", "echo out; echo err >&2; exit 42"])
    assert pid > 1 and os.path.exists(shim.socket_path)
    shim.connection.request("subscribe")
    attached = shim.attach()
    shim.start()
    assert attached.output() == (b"out\n", b"err\n", None)
    exited = shim.connection.frames("exited")[-1]
    record = shim.wait()
    assert json.loads(exited[2]) == record
    assert record["exitCode"] == 42 and record["oomKilled"] is False
    assert started < record["finishedAt"] < time.time_ns()
    assert [(e["stream"], e["log"]) for e in shim.log()] in (
        [("stdout", "out\n"), ("stderr", "err\n")], [("stderr", "err\n"), ("stdout", "out\n")])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", e["time"]) for e in shim.log())
    assert cgroups(shim.identifier) == []
    assert not os.path.exists(shim.socket_path)


def test_one_connection_is_enough(shim):
    connection = shim.connection
    shim.create(["cat"], openStdin=True, stdinOnce=True)
    connection.request("subscribe")
    connection.request("attach", {"stdin": True, "stdout": True, "stderr": True})
    tag = connection.tag
    shim.start()
    connection.send("stdin", tag, b"hello\n")
    assert connection.read_until(b"hello\n") == b"hello\n"
    connection.send("closeStdin", tag)
    kinds = [frame[0] for frame in connection.frames()]
    assert kinds == ["end", "exited"]
    assert shim.wait()["exitCode"] == 0


def test_nothing_leaks_into_the_container(shim):
    shim.create(["ls", "/proc/self/fd"])
    shim.start()
    shim.wait()
    # ls itself has the directory open as 3.
    assert shim.text() == "0\n1\n2\n3\n"


@pytest.mark.parametrize("executed", [False, True])
def test_signals_are_at_their_defaults(shim, executed):
    if executed:
        shim.create(["sleep", "1000"])
        shim.start()
        text = shim.exec("s", ["cat", "/proc/self/status"]).output()[0].decode()
    else:
        shim.create(["cat", "/proc/self/status"])
        shim.start()
        shim.wait()
        text = shim.text()
    status = dict(line.split(":\t") for line in text.splitlines())
    # 32 and 33 belong to the C library, which does not let anybody reset them.
    assert int(status["SigBlk"], 16) == 0 and int(status["SigIgn"], 16) & ~0x180000000 == 0


def test_state_processes_and_statistics(shim):
    pid = shim.create(["sleep", "1000"])
    assert shim.connection.request("state") == {"pid": pid, "status": "created", "execs": []}
    shim.start()
    assert shim.connection.request("state")["status"] == "running"
    worker = shim.exec("one", ["sleep", "1000"])
    assert shim.connection.request("state")["execs"] == [{"id": "one", "pid": worker.pid}]
    assert sorted(shim.connection.request("processes")["pids"]) == sorted([pid, worker.pid])
    statistics = shim.connection.request("stats")
    assert statistics["cpuTotal"] > 0 and statistics["memoryUsage"] > 0 and statistics["pids"] == 2
    shim.connection.request("pause")
    assert shim.connection.request("state")["status"] == "paused"
    with pytest.raises(Failed, match="already paused"):
        shim.connection.request("pause")
    with pytest.raises(Failed, match="paused"):
        shim.exec("two", ["true"])
    shim.connection.request("resume")
    assert shim.connection.request("state")["status"] == "running"
    shim.connection.request("signal", {"signal": 9, "execID": "one"})
    assert worker.output()[2] == 137
    shim.connection.request("update", {"pids": {"limit": 77}})
    assert shim.connection.request("stats")["pidsLimit"] == 77
    shim.connection.request("destroy")
    assert shim.wait()["exitCode"] == 137


def test_kills_a_paused_container(shim):
    shim.create(["sleep", "1000"])
    shim.start()
    shim.connection.request("pause")
    shim.connection.request("signal", {"signal": 9})
    assert shim.wait()["exitCode"] == 137


def test_signals_arrive(shim):
    shim.create(["sh", "-c", "trap 'echo term; exit 7' TERM; echo ready; while :; do sleep 0.05; done"])
    attached = shim.attach()
    shim.start()
    attached.read_until(b"ready\n")
    shim.connection.request("signal", {"signal": 15})
    assert attached.output()[0] == b"term\n"
    assert shim.wait()["exitCode"] == 7


def test_terminal(shim):
    shim.create(["sh"], terminal=True, openStdin=True, rows=24, columns=80)
    attached = shim.attach(stdin=True)
    shim.start()
    attached.send("stdin", attached.tag, b"stty size; tty\n")
    assert b"24 80" in attached.read_until(b"/dev/pts/0")
    shim.connection.request("resize", {"rows": 50, "columns": 132})
    attached.send("stdin", attached.tag, b"stty size\n")
    attached.read_until(b"50 132")
    # The end of a connection is not the end of a terminal.
    attached.close()
    again = shim.attach(stdin=True)
    again.send("stdin", again.tag, b"echo sti''ll; sleep 100\n")
    again.read_until(b"still")
    time.sleep(0.1)
    again.send("stdin", again.tag, b"\x03")
    again.send("stdin", again.tag, b"exit 3\n")
    again.frames("end")
    assert shim.wait()["exitCode"] == 3
    assert "50 132" in shim.text()


def test_console_that_is_opened_now_and_then(shim):
    shim.create(["sh", "-c", "exec </dev/null >/dev/null 2>&1; "
                 "for i in 1 2 3; do sleep 0.1; echo message $i > /dev/pts/0; done; exit 4"], terminal=True)
    attached = shim.attach()
    shim.start()
    assert attached.output()[0] == b"message 1\r\nmessage 2\r\nmessage 3\r\n"
    assert shim.wait()["exitCode"] == 4


def test_terminal_gives_everything_before_its_end(shim):
    shim.create(["seq", "1", "30000"], terminal=True)
    attached = shim.attach()
    shim.start()
    expected = "".join(f"{i}\r\n" for i in range(1, 30001)).encode()
    assert attached.output()[0] == expected
    shim.wait()
    assert shim.text().encode() == expected


def test_exec(shim):
    shim.create(["sleep", "1000"])
    shim.start()
    assert shim.exec("a", ["sh", "-c", "echo out; echo err >&2; exit 5"]).output() == (b"out\n", b"err\n", 5)
    # The same name again, now that the first is gone.
    stream = shim.exec("a", ["cat"], stdin=True)
    data = os.urandom(300_000)
    for start in range(0, len(data), 65536):
        stream.send("stdin", stream.tag, data[start:start + 65536])
    stream.send("closeStdin", stream.tag)
    assert stream.output() == (data, b"", 0)
    with pytest.raises(Failed) as missing:
        shim.exec("b", ["no-such-program"])
    assert missing.value.exit_status == 127
    with pytest.raises(Failed) as directory:
        shim.exec("b", ["/tmp"])
    assert shim.connection.request("state")["execs"] == []
    assert directory.value.exit_status == 126
    terminal = shim.exec("t", ["sh", "-c", "stty size; exit 9"], terminal=True, stdin=True, rows=10, columns=20)
    assert terminal.output() == (b"10 20\r\n", b"", 9)
    assert shim.connection.request("state")["execs"] == []


def test_exec_that_does_not_read_its_input(shim):
    shim.create(["sleep", "1000"])
    shim.start()
    for arguments in (["true"], ["sleep", "0.3"]):
        stream = shim.exec("deaf", arguments, stdin=True)
        for _ in range(10):
            stream.send("stdin", stream.tag, b"z" * 20_000)
        assert stream.output()[2] == 0
        # The connection is as good as before.
        assert stream.request("state")["execs"] == []
        stream.close()


def test_detached_exec_goes_on(shim):
    shim.create(["sleep", "1000"])
    shim.connection.request("subscribe")
    shim.start()
    shim.exec("d", ["sh", "-c", "sleep 0.2; echo done > /tmp/file; exit 4"], stdout=False, stderr=False).close()
    event = shim.connection.frames("execExited")[-1]
    assert json.loads(event[2]) == {"id": "d", "exitCode": 4}
    assert shim.exec("r", ["cat", "/tmp/file"]).output()[0] == b"done\n"
    # Attached, then abandoned: the same.
    shim.exec("e", ["sh", "-c", "sleep 0.1; yes | head -c 200000; exit 6"]).close()
    event = [f for f in shim.connection.frames("execExited") if f[0] == "execExited"]
    while json.loads(event[-1][2])["id"] != "e":
        event = [f for f in shim.connection.frames("execExited") if f[0] == "execExited"]
    assert json.loads(event[-1][2]) == {"id": "e", "exitCode": 6}


def test_exec_with_a_background_child_ends(shim):
    shim.create(["sleep", "1000"])
    shim.start()
    begun = time.monotonic()
    assert shim.exec("b", ["sh", "-c", "sleep 500 & echo x"]).output() == (b"x\n", b"", 0)
    assert time.monotonic() - begun < 4


def test_survives_its_first_connection(shim):
    shim.create(["sh", "-c", "i=0; while [ $i -lt 100 ]; do echo $i; i=$((i+1)); sleep 0.01; done; exit 8"])
    shim.start()
    shim.connection.close()
    time.sleep(0.2)
    again = shim.connect()
    assert again.request("state")["status"] == "running"
    again.request("subscribe")
    assert json.loads(again.frames("exited")[-1][2])["exitCode"] == 8
    assert shim.wait()["exitCode"] == 8
    assert shim.text() == "".join(f"{i}\n" for i in range(100))


def test_dies_with_its_first_connection_before_start(shim):
    pid = shim.create(["sleep", "1000"])
    shim.connection.close()
    shim.process.wait(5)
    assert not os.path.exists(f"/proc/{pid}")
    assert cgroups(shim.identifier) == []


def test_exits_without_a_request(shim):
    shim.connection.close()
    assert shim.process.wait(5) == 0


@pytest.mark.parametrize("program, status", [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126)])
def test_program_that_cannot_run(shim, program, status):
    with pytest.raises(Failed, match=program) as failure:
        shim.create([program])
        shim.start()
    assert failure.value.exit_status == status
    assert shim.process.wait(5) == 0


def test_program_that_cannot_run_after_all(shim):
    # Looks fine until the kernel has read it.
    os.makedirs(f"{shim.directory}/upper/bin")
    with open(f"{shim.directory}/upper/bin/broken", "wb") as file:
        file.write(b"\x7fELF")
        os.fchmod(file.fileno(), 0o755)
    shim.create(["broken"])
    with pytest.raises(Failed, match="broken") as failure:
        shim.start()
    assert failure.value.exit_status == 126
    record = shim.wait()
    assert record["exitCode"] == 126 and "broken" in record["error"]


def test_stdin_once(shims):
    keep, once = shims(), shims()
    keep.create(["cat"], openStdin=True)
    keep.start()
    first = keep.attach(stdin=True)
    first.send("stdin", first.tag, b"one\n")
    first.read_until(b"one\n")
    first.send("closeStdin", first.tag)
    first.close()
    second = keep.attach(stdin=True)
    second.send("stdin", second.tag, b"two\n")
    second.read_until(b"two\n")
    assert keep.connection.request("state")["status"] == "running"

    once.create(["sh", "-c", "cat; exit 3"], openStdin=True, stdinOnce=True)
    once.start()
    first = once.attach(stdin=True)
    # Everything that was sent arrives before the end does.
    first.send("stdin", first.tag, b"x" * 500_000)
    first.send("closeStdin", first.tag)
    assert first.output() == (b"x" * 500_000, b"", None)
    assert once.wait()["exitCode"] == 3


def test_lost_client_closes_stdin_once(shim):
    shim.create(["sh", "-c", "wc -c"], openStdin=True, stdinOnce=True)
    shim.start()
    client = shim.attach(stdin=True, stdout=False, stderr=False)
    client.send("stdin", client.tag, b"y" * 200_000)
    client.close()
    assert shim.wait()["exitCode"] == 0
    assert shim.text().strip() == "200000"


def test_slow_client_slows_the_program_and_loses_nothing(shim):
    shim.create(["sh", "-c", "seq 1 400000; echo written > /tmp/flag"])
    client = shim.attach()
    shim.start()
    time.sleep(0.5)
    # The program waits: pipe, socket and attachment buffer are full, and memory stays bounded.
    assert shim.connection.request("state")["status"] == "running"
    assert not os.path.exists(f"{shim.directory}/upper/tmp/flag")
    assert resident(shim.process.pid) < 4096
    expected = "".join(f"{i}\n" for i in range(1, 400_001)).encode()
    assert client.output()[0] == expected
    assert shim.wait(30)["exitCode"] == 0
    assert shim.text().encode() == expected


def resident(pid):
    """Memory of its own in KiB; pages of a file that was written a moment ago count as private and dirty too."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"Anonymous:\s+(\d+)", file.read())[1])


def test_stuck_client_does_not_hold_up_the_others(shim):
    shim.create(["sh", "-c", "read line; echo got $line; exit 2"], openStdin=True)
    shim.start()
    # Requests without reading answers: this one is no longer listened to, everybody else is.
    flood = shim.connect()
    flood.socket.setblocking(False)
    frame = struct.pack("<IBBH", 0, shim_client.KINDS["stats"], 0, 1)
    try:
        for _ in range(100_000):
            flood.socket.send(frame * 64)
    except BlockingIOError:
        pass
    client = shim.attach(stdin=True)
    client.send("stdin", client.tag, b"it\n")
    client.read_until(b"got it\n")
    flood.close()
    assert shim.wait()["exitCode"] == 2


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, struct.pack("<IBBH", 1 << 20 | 1, 2, 0, 0),
    struct.pack("<IBBH", 4, 4, 0, 9) + b"{]}[", struct.pack("<IBBH", 3, 250, 0, 9) + b"abc",
    struct.pack("<IBBH", 100, 4, 0, 9) + b"short",
])
def test_garbage_hurts_only_its_sender(shim, garbage):
    shim.create(["sleep", "1000"])
    shim.start()
    bad = shim.connect()
    bad.socket.sendall(garbage)
    bad.socket.shutdown(socket.SHUT_WR)
    for kind, _, _ in bad.frames():
        assert kind == "error"
    assert shim.connection.request("state")["status"] == "running"


def test_requests_in_the_wrong_state(shim):
    with pytest.raises(Failed) as early:
        shim.start()
    assert early.value.code == "conflict"
    shim.create(["sleep", "1000"])
    with pytest.raises(Failed, match="not running"):
        shim.exec("x", ["true"])
    shim.start()
    with pytest.raises(Failed):
        shim.start()
    with pytest.raises(Failed, match="exists"):
        shim.create(["true"])
    with pytest.raises(Failed, match="no terminal"):
        shim.connection.request("resize", {"rows": 1, "columns": 1})
    with pytest.raises(Failed, match="no signal"):
        shim.connection.request("signal", {"signal": 99})
    with pytest.raises(Failed, match="rows"):
        shim.connection.request("resize", {"rows": -1, "columns": 1})


def test_a_create_that_fails_leaves_nothing(shim):
    with pytest.raises(Failed):
        shim.create(["true"], process={"cwd": "relative", "user": {"uid": 0, "gid": 0}},
                    root={"lower": ["/no/such/layer"], "upper": "/no/such/upper", "work": "/no/such/work"})
    assert shim.process.wait(5) == 0
    assert not os.path.exists(shim.exit_path)


def test_log_escaping(shim):
    shim.create(["printf", r'a"b\\c\t\001<&>\r\n\303\251\342\200\250\377\360\237\230\200\nno end'])
    shim.start()
    shim.wait()
    with open(shim.log_path, "rb") as file:
        raw = file.read().decode()
    texts = [re.match(r'\{"log":"(.*)","stream":"stdout","time":"[^"]*"\}$', line)[1] for line in raw.splitlines()]
    assert texts == [
        r'a\"b\\c\t\u0001\u003c\u0026\u003e\r\n', 'é' + r'\u2028\ufffd' + '😀' + r'\n', "no end"]


def test_long_lines_are_split(shim):
    shim.create(["sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; "
                 "i=0; while [ $i -lt 6000 ]; do printf 'ééé'; i=$((i+1)); done; echo; "
                 "head -c 16384 /dev/zero | tr '\\0' y; echo"])
    shim.start()
    shim.wait()
    entries = [e["log"] for e in shim.log()]
    assert [len(e.encode()) for e in entries] == [16384, 16384, 7233, 16384, 16384, 3233, 16385]
    assert "".join(entries) == "x" * 40000 + "\n" + "é" * 18000 + "\n" + "y" * 16384 + "\n"
    assert [e.endswith("\n") for e in entries] == [False, False, True, False, False, True, True]


def test_log_rotation(shim):
    shim.create(["seq", "1", "20000"], log={"path": f"{shim.directory}/log", "maxSize": 200_000, "maxFiles": 3})
    shim.start()
    shim.wait()
    files = sorted(name for name in os.listdir(shim.directory) if name.startswith("log"))
    assert files == ["log", "log.1", "log.2"]
    assert all(os.path.getsize(f"{shim.directory}/{name}") <= 200_000 for name in files)
    numbers = [int(e["log"]) for e in shim.log()]
    assert numbers == list(range(numbers[0], 20001)) and len(numbers) > 4000


def test_full_disk_drops_log_and_says_so(shim, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    try:
        (disk / "ballast").write_bytes(b"x" * 100_000)
        shim.create(["sh", "-c", "seq 1 20000; read x; echo after; exit 5"], openStdin=True,
                    log={"path": f"{disk}/log", "maxSize": 0, "maxFiles": 1})
        client = shim.attach(stdin=True)
        shim.start()
        client.read_until(b"\n20000\n")
        os.unlink(disk / "ballast")
        client.send("stdin", client.tag, b"go\n")
        assert shim.wait()["exitCode"] == 5
        entries = [json.loads(line) for line in open(disk / "log")]
        notices = [e["log"] for e in entries if e["stream"] == "stderr"]
        assert len(notices) == 1 and re.search(r"\d+ log entries were lost .* no space left", notices[0])
        lost = int(re.search(r"(\d+) log entries", notices[0])[1])
        assert len(entries) - 1 + lost == 20001
        assert entries[-1]["log"] == "after\n"
    finally:
        subprocess.run(["umount", disk], check=True)


def test_appends_to_an_old_log_and_removes_half_an_entry(shim):
    with open(shim.log_path, "w") as file:
        file.write('{"log":"old\\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}\n{"log":"ha')
    shim.create(["echo", "new"])
    shim.start()
    shim.wait()
    assert shim.text() == "old\nnew\n"


def test_out_of_memory_is_told(shim):
    shim.create(["sh", "-c", "x=a; while :; do x=$x$x; done"], resources={"memory": {"limit": 16 << 20, "swap": 16 << 20}})
    shim.connection.request("subscribe")
    shim.start()
    frames = shim.connection.frames("exited", timeout=30)
    assert "oom" in [frame[0] for frame in frames]
    record = shim.wait()
    assert record["oomKilled"] is True and record["exitCode"] == 137


def test_orphans_are_reaped(shim):
    shim.create(["sh", "-c", "exec sleep 1000"])
    shim.start()
    shim.exec("o", ["sh", "-c", "(sleep 0.2 &) ; (sleep 0.1; exit 3) & exit 0"], stdout=False, stderr=False).output()
    time.sleep(0.5)
    with open(f"/proc/{shim.process.pid}/task/{shim.process.pid}/children") as file:
        children = file.read().split()
    assert len(children) == 1


def test_init_reaps_and_forwards(shim):
    shim.create(["sh", "-c", "echo $$; trap 'exit 9' TERM; (sleep 0.1 &); echo ready; while :; do sleep 0.05; done"],
                useInit=True)
    attached = shim.attach()
    shim.start()
    output = attached.read_until(b"ready\n")
    assert output.split()[0] != b"1"
    shim.connection.request("signal", {"signal": 15})
    assert shim.wait()["exitCode"] == 9


def settled(pid, quiet=0.5, timeout=20):
    """The same when it has not changed for a while: what a client has closed is closed at the other end a moment later."""
    deadline = time.monotonic() + timeout
    since, found = time.monotonic(), targets(pid)
    while time.monotonic() - since < quiet:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
        if (now := targets(pid)) != found:
            since, found = time.monotonic(), now
    return found


def test_hundred_attachments_and_execs_leave_no_descriptor(shim):
    shim.create(["sleep", "1000"])
    shim.start()
    # What it still does after the answer to the start, watching memory, is done before the next request; and its end of
    # that request's connection is open until it has seen ours closed.
    assert shim.exec("first", ["true"]).output()[2] == 0
    before = settled(shim.process.pid)
    for index in range(100):
        shim.attach().close()
        assert shim.exec(f"e{index}", ["true"]).output()[2] == 0
        terminal = shim.exec(f"t{index}", ["true"], terminal=True, stdin=True)
        assert terminal.output()[2] == 0
        terminal.close()
    assert len(settled(shim.process.pid)) == len(before), (before, targets(shim.process.pid))


def test_terminated_shim_takes_its_container_along(shim):
    pid = shim.create(["sleep", "1000"])
    shim.start()
    shim.process.send_signal(signal.SIGTERM)
    assert shim.wait()["exitCode"] == 137
    assert not os.path.exists(f"/proc/{pid}")


def test_killed_shim_takes_its_processes_along(shim):
    pid = shim.create(["sleep", "1000"])
    shim.start()
    shim.process.kill()
    shim.process.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))
    # The daemon removes what is left of it.
    os.unlink(shim.socket_path)
    for path in cgroups(shim.identifier):
        os.rmdir(path)


def test_idle_memory(shims):
    made = [shims() for _ in range(20)]
    for shim in made:
        shim.create(["sleep", "1000"])
        shim.start()
        shim.connection.close()
    # A shim gives memory back when nothing has happened for five seconds.
    time.sleep(6)
    shares = []
    for shim in made:
        with open(f"/proc/{shim.process.pid}/smaps_rollup") as file:
            shares.append(int(re.search(r"\nPss:\s+(\d+)", file.read())[1]))
    print(f"PSS of a shim among twenty: {sorted(shares)[10]} KiB, anonymous {resident(made[0].process.pid)} KiB")
    assert sorted(shares)[10] <= 400
