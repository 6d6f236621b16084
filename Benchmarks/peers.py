"""The engines that are compared: each private, on its own socket, with the same image and no network."""

import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "IntegrationTests"))

import images  # noqa: E402
from engines import UnixConnection  # noqa: E402

BINARIES = pathlib.Path(os.environ.get("APUS_BIN", REPOSITORY / "build" / "bin"))
#: A full name, and the only tag: the engines complete short names differently, and podman imports under this tag alone.
IMAGE = "localhost/busybox:latest"


class Peer:
    """A daemon that speaks the Docker Engine API, and the command line that belongs to it."""

    name = ""
    #: What it needs to run here, and the others do not.
    host_options: dict = {}
    run_options: list = []
    network = "none"

    def __init__(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
        self.socket = self.base / "s"
        self.process = None
        self.connection = None

    # What differs.

    def command(self):
        raise NotImplementedError

    def client(self):
        """The command line, as words before the verb."""
        raise NotImplementedError

    def is_own(self, words, parents):
        """Whether a process is part of the engine or of one of its containers."""
        raise NotImplementedError

    # What is the same.

    def start(self):
        with open(self.base / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=self.environment())
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connection = UnixConnection(str(self.socket), timeout=600)
                if self.call("GET", "/_ping")[0] == 200:
                    break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} does not start: {(self.base / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
        status, body = self.call(
            "POST", "/images/create?fromSrc=-&repo=localhost/busybox&tag=latest&changes=ENV%20PATH%3D/bin", images.archive(),
            {"Content-Type": "application/x-tar"})
        if status != 200 or b'"error"' in body:
            raise RuntimeError(f"{self.name}: {body}")
        return self

    def stop(self):
        # Anew: one that has not been used for minutes may have been closed at the other end.
        self.connection.close()
        for container in json.loads(self.call("GET", "/containers/json?all=1")[1]):
            self.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # Monitors of execs (podman's) linger for minutes.
        for pid in self.leftovers():
            os.kill(pid, signal.SIGKILL)
        for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{self.base}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(self.base, ignore_errors=True)

    def leftovers(self):
        """Processes that name this engine's directory, which is nobody else's."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    if f"{self.base}/".encode() in pathlib.Path(f"/proc/{entry}/cmdline").read_bytes():
                        found.append(int(entry))
                except OSError:
                    continue
        return found

    def call(self, method, path, body=None, headers=None):
        """A request on the one persistent connection: status and body."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json"}
        self.connection.request(method, path, body=body, headers=headers or {})
        response = self.connection.getresponse()
        return response.status, response.read()

    def environment(self):
        return {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "APUS_HOST": f"unix://{self.socket}"}

    def create(self, *command):
        status, body = self.call(
            "POST", "/containers/create", {
                "Image": IMAGE, "Cmd": command, "HostConfig": {"NetworkMode": self.network, **self.host_options}})
        if status != 201:
            raise RuntimeError(f"{self.name}: {status} {body}")
        return json.loads(body)["Id"]

    def sleeper(self):
        identifier = self.create("sleep", "100000")
        status, body = self.call("POST", f"/containers/{identifier}/start")
        if status != 204:
            raise RuntimeError(f"{self.name}: {status} {body}")
        return identifier

    def remove(self, identifier):
        status, body = self.call("DELETE", f"/containers/{identifier}?force=1&v=1")
        if status not in (200, 204):
            raise RuntimeError(f"{self.name}: {status} {body}")

    def cycle(self):
        """Create, start, wait for the end, delete."""
        identifier = self.create("true")
        self.call("POST", f"/containers/{identifier}/start")
        status, body = self.call("POST", f"/containers/{identifier}/wait?condition=not-running")
        if json.loads(body)["StatusCode"] != 0:
            raise RuntimeError(f"{self.name}: {status} {body}")
        self.remove(identifier)

    def exec(self, identifier):
        """Exec `true` and read its exit status."""
        status, body = self.call(
            "POST", f"/containers/{identifier}/exec", {"Cmd": ["true"], "AttachStdout": True, "AttachStderr": True})
        exec_id = json.loads(body)["Id"]
        stream = UnixConnection(str(self.socket), timeout=60)
        stream.request("POST", f"/exec/{exec_id}/start", body=b'{"Detach":false,"Tty":false}',
                       headers={"Content-Type": "application/json"})
        stream.getresponse().read()
        stream.close()
        answer = json.loads(self.call("GET", f"/exec/{exec_id}/json")[1])
        if answer["ExitCode"] != 0:
            raise RuntimeError(f"{self.name}: {answer}")

    def run(self):
        """`run --rm` of `true`, as a whole process."""
        subprocess.run(
            [*self.client(), "run", "--rm", "--network", self.network, *self.run_options, IMAGE, "true"], env=self.environment(), check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def memory(self):
        """PSS in bytes of the daemon's processes and of its containers'."""
        parents, words = {}, {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
                    words[int(entry)] = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().decode().split("\0")
                except OSError:
                    continue
                parents[int(entry)] = int(stat.rsplit(")", 1)[1].split()[1])
        own = {pid for pid in words if self.is_own(pid, words[pid])}
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in own} - own
            grown = bool(more)
            own |= more
        return sum(pss(pid) for pid in own)


def pss(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Apus(Peer):
    name = "apus"

    def command(self):
        return [
            str(BINARIES / "apusd"), "--root", str(self.base / "root"), "--run-dir", str(self.base / "run"), "--socket",
            str(self.socket)
        ]

    def client(self):
        return [str(BINARIES / "apus")]

    def is_own(self, pid, words):
        # A shim is nobody's child once its daemon is another; its name and the instance's directory tell whose it is.
        return pid == self.process.pid or (words[0].endswith("apus-runtime") and self.owns(words))

    def owns(self, words):
        return any((self.base / "run" / "instances" / word).exists() for word in words if len(word) >= 12)


class Docker(Peer):
    name = "dockerd"

    def command(self):
        return [
            "dockerd", "--data-root", str(self.base / "root"), "--exec-root", str(self.base / "run"), "--pidfile",
            str(self.base / "pid"), "-H", f"unix://{self.socket}", "--bridge=none", "--iptables=false"
        ]

    def client(self):
        return ["docker"]

    def is_own(self, pid, words):
        return pid == self.process.pid or (
            "containerd" in words[0] and any(str(self.base) in word for word in words))


class Podman(Peer):
    """Podman's API service. crun refuses hybrid cgroups: their version 2 half is hidden from it, in a namespace."""

    name = "podman"

    # Its default limits are above the hard ones of a host without CAP_SYS_RESOURCE.
    limits = {
        name: min(4096, resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1] % 2**63)
        for name in ("nofile", "nproc")
    }
    host_options = {"Ulimits": [{"Name": name, "Soft": hard, "Hard": hard} for name, hard in limits.items()]}
    run_options = [word for name, hard in limits.items() for word in ("--ulimit", f"{name}={hard}:{hard}")]

    def words(self):
        return [
            "podman", "--root", str(self.base / "root"), "--runroot", str(self.base / "run"), "--tmpdir",
            str(self.base / "tmp"), "--cgroup-manager", "cgroupfs", "--events-backend", "file"
        ]

    def command(self):
        script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\""
        return [
            "unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *self.words(), "system", "service",
            "--time", "0", f"unix://{self.socket}"
        ]

    def client(self):
        return [
            "nsenter", "-t", str(self.process.pid), "-m", *self.words()
        ]

    def is_own(self, pid, words):
        return pid == self.process.pid or ("conmon" in words[0] and any(str(self.base) in word for word in words))


PEERS = {peer.name: peer for peer in (Apus, Docker, Podman)}
