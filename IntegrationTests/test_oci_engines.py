"""apus-runtime below other engines: podman --runtime, dockerd --add-runtime, containerd's shim with BinaryName."""

import base64
import json
import os
import pathlib
import pty
import resource
import shutil
import signal
import subprocess
import time

import pytest

import images
from engines import BINARIES

RUNTIME = BINARIES / "apus-runtime"
IMAGE = "localhost/busybox:latest"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")


class Engine:
    """An engine with a command line like docker's."""

    # A host without CAP_SYS_RESOURCE cannot go above its hard limits.
    limits = [word for name in ("nofile", "nproc") for word in (
        "--ulimit", "{0}={1}:{1}".format(
            name, min(4096, resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1] % 2**63)))]

    def __init__(self, words, directory):
        self.words, self.directory = list(map(str, words)), directory

    def __call__(self, *words, check=None, **options):
        words = list(map(str, words))
        if words[0] in ("run", "create"):
            words[1:1] = ["--network", "none", *self.limits]
        options.setdefault("stdin", subprocess.DEVNULL)
        # conmon leaves a file where it is started.
        options.setdefault("cwd", self.directory)
        done = subprocess.run(
            [*self.words, *words], capture_output=True, text=True, timeout=120, check=False, **options)
        assert check is None or done.returncode == check, done
        return done

    def state(self, name, field):
        return self("inspect", "--format", "{{.State." + field + "}}", name, check=0).stdout.strip()

    def typed(self, lines, *words):
        """What a terminal shows of a command whose input is typed at one."""
        master, slave = pty.openpty()
        process = subprocess.Popen([*self.words, *map(str, words)], stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True, cwd=self.directory)
        os.close(slave)
        shown = b""
        deadline = time.monotonic() + 60
        try:
            for wait_for, line in lines:
                while wait_for not in shown:
                    assert time.monotonic() < deadline, shown
                    shown += os.read(master, 4096)
                os.write(master, line)
            while True:
                shown += os.read(master, 4096) or b""
        except OSError:
            pass
        finally:
            os.close(master)
        assert process.wait(timeout=60) == 0, shown
        return shown


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory):
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("there is no dockerd here")
    base = pathlib.Path(f"/run/apus-test-{os.getpid()}")
    base.mkdir()
    # What images and containers are made of is too much for /run.
    root = tmp_path_factory.mktemp("dockerd")
    socket = f"unix://{base}/s"
    with open(base / "log", "wb") as log:
        process = subprocess.Popen(
            ["dockerd", "--data-root", root, "--exec-root", base / "run", "--pidfile", base / "pid", "-H", socket,
             "--bridge=none", "--iptables=false", "--add-runtime", f"apus={RUNTIME}", "--default-runtime", "apus"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    engine = Engine(["docker", "-H", socket], base)
    deadline = time.monotonic() + 60
    while engine("version").returncode != 0:
        assert process.poll() is None and time.monotonic() < deadline, (base / "log").read_text()[-2000:]
        time.sleep(0.1)
    subprocess.run([*engine.words, "import", "-c", "ENV PATH=/bin", "-", IMAGE], input=images.archive(), check=True,
                   stdout=subprocess.DEVNULL)
    engine.containerd = base / "run" / "containerd" / "containerd.sock"
    yield engine
    for name in engine("ps", "-aq").stdout.split():
        engine("rm", "-f", name)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith((f"{base}/", f"{root}/")):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    if shutil.which("podman") is None:
        pytest.skip("there is no podman here")
    base = tmp_path_factory.mktemp("podman")
    engine = Engine(
        ["podman", "--root", base / "root", "--runroot", base / "run", "--tmpdir", base / "tmp", "--cgroup-manager",
         "cgroupfs", "--events-backend", "file", "--runtime", RUNTIME], base)
    subprocess.run([*engine.words, "import", "-c", "ENV PATH=/bin", "-", IMAGE], input=images.archive(), check=True,
                   capture_output=True)
    yield engine
    for name in engine("ps", "-aq").stdout.split():
        engine("rm", "-f", "-t", "0", name)
    for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{base}/"):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)


@pytest.fixture(params=["dockerd", "podman"])
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def sleeper(engine):
    name = engine("run", "-d", IMAGE, "sleep", "1000", check=0).stdout.strip()
    yield name
    engine("rm", "-f", name)


def test_run(engine):
    assert engine("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7", check=7).stdout == "out\n"
    assert engine("run", "--rm", "-i", IMAGE, "cat", check=0, stdin=None, input="through").stdout == "through"
    assert engine("run", "--rm", IMAGE, "no-such-program").returncode == 127
    assert engine("run", "--rm", IMAGE, "/etc").returncode == 126


def test_the_runtime_is_ours(dockerd, podman):
    name = dockerd("run", "-d", IMAGE, "sleep", "1000", check=0).stdout.strip()
    assert dockerd("inspect", "--format", "{{.HostConfig.Runtime}}", name).stdout.strip() == "apus"
    dockerd("rm", "-f", name, check=0)
    name = podman("run", "-d", IMAGE, "sleep", "1000", check=0).stdout.strip()
    assert podman("inspect", "--format", "{{.OCIRuntime}}", name).stdout.strip() == str(RUNTIME)
    podman("rm", "-f", "-t", "0", name, check=0)


def test_terminals(engine, sleeper):
    assert b"/dev/pts/0" in engine.typed([], "run", "--rm", "-it", "--network", "none", *engine.limits, IMAGE, "tty")
    shown = engine.typed([(b"go", b"hello\n")], "exec", "-it", sleeper, "sh", "-c", "tty; echo go; read x; echo got $x")
    assert b"/dev/pts/" in shown and b"got hello" in shown


def test_exec(engine, sleeper):
    done = engine("exec", "-u", "app", "-w", "/tmp", "-e", "A=b", sleeper, "sh", "-c", "id -u; pwd; echo $A; exit 5", check=5)
    assert done.stdout == "1000\n/tmp\nb\n"
    assert engine("exec", "-i", sleeper, "cat", check=0, stdin=None, input="in").stdout == "in"
    assert engine("exec", sleeper, "no-such-program").returncode in (126, 127)


def test_logs(engine):
    name = engine("run", "-d", IMAGE, "sh", "-c", "echo one; echo two >&2; echo three", check=0).stdout.strip()
    engine("wait", name, check=0)
    done = engine("logs", name, check=0)
    assert sorted((done.stdout + done.stderr).split()) == ["one", "three", "two"]
    engine("rm", name, check=0)


def test_stop(engine):
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    name = engine("run", "-d", IMAGE, "sh", "-c", script, check=0).stdout.strip()
    deadline = time.monotonic() + 20
    while "ready" not in engine("logs", name).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    engine("stop", "-t", "20", name, check=0)
    assert engine.state(name, "ExitCode") == "9"
    engine("start", name, check=0)
    engine("kill", name, check=0)
    engine("wait", name, check=0)
    assert engine.state(name, "ExitCode") == "137"
    engine("rm", name, check=0)


def test_pause(engine, sleeper):
    engine("pause", sleeper, check=0)
    assert engine.state(sleeper, "Status") == "paused"
    engine("unpause", sleeper, check=0)
    assert engine.state(sleeper, "Status") == "running"
    engine("exec", sleeper, "true", check=0)


def test_update(engine, sleeper):
    def limit():
        process = engine.state(sleeper, "Pid")
        lines = pathlib.Path(f"/proc/{process}/cgroup").read_text().splitlines()
        for line in lines:
            _, controllers, path = line.split(":", 2)
            for file in (f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes", f"/sys/fs/cgroup{path}/memory.max"):
                if controllers in ("memory", "") and pathlib.Path(file).exists():
                    return pathlib.Path(file).read_text().strip()
        return None

    assert limit() != str(64 << 20)
    engine("update", "--memory", "64m", "--memory-swap", "64m", sleeper, check=0)
    assert limit() == str(64 << 20)


def test_a_lack_of_memory_is_reported(engine):
    name = engine("run", "-d", "--memory", "16m", "--memory-swap", "16m", IMAGE, "tail", "/dev/zero", check=0).stdout.strip()
    engine("wait", name, check=0)
    assert engine.state(name, "ExitCode") == "137"
    # podman's monitor writes down that it was for a lack of memory where podman 4.3 does not look, with runc too.
    if "docker" in engine.words[0]:
        assert engine.state(name, "OOMKilled") == "true"
    engine("rm", name, check=0)


def test_confinement(engine, tmp_path):
    (tmp_path / "file").write_text("host\n")
    done = engine(
        "run", "--rm", "--read-only", "--tmpfs", "/scratch", "-v", f"{tmp_path}:/host:ro", "--cap-drop", "ALL", "--sysctl",
        "net.ipv4.ip_forward=1", IMAGE, "sh", "-c",
        "cat /host/file /proc/sys/net/ipv4/ip_forward; touch /scratch/a && echo scratch; touch /b || touch /host/c "
        "|| grep CapEff /proc/self/status", check=0)
    assert done.stdout.split() == ["host", "1", "scratch", "CapEff:", "0000000000000000"]


def test_containerd(dockerd, tmp_path):
    if shutil.which("ctr") is None:
        pytest.skip("there is no ctr here")
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-x", "-C", root], input=images.archive(), check=True)
    control = ["ctr", "--address", dockerd.containerd, "--namespace", "apus-test"]
    options = ["--runc-binary", RUNTIME, "--rootfs"]

    def run(*words, **extra):
        return subprocess.run(list(map(str, [*control, *words])), capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL, **extra)

    done = run("run", "--rm", *options, root, "one", "/bin/sh", "-c", "echo $0; exit 3")
    assert (done.returncode, done.stdout) == (3, "/bin/sh\n"), done
    assert run("run", "--detach", *options, root, "two", "/bin/sleep", "1000").returncode == 0
    try:
        assert run("tasks", "exec", "--exec-id", "x", "two", "/bin/echo", "inside").stdout == "inside\n"
        assert run("tasks", "pause", "two").returncode == 0
        assert "PAUSED" in run("tasks", "ls").stdout
        assert run("tasks", "resume", "two").returncode == 0
        assert len(run("tasks", "ps", "two").stdout.splitlines()) == 2
        options = json.loads(run("containers", "info", "two").stdout)["Runtime"]["Options"]
        assert str(RUNTIME).encode() in base64.b64decode(options["value"])
    finally:
        run("tasks", "kill", "--signal", "SIGKILL", "two")
        time.sleep(0.5)
        run("tasks", "rm", "two")
        run("containers", "rm", "two")
    assert "two" not in run("tasks", "ls").stdout
