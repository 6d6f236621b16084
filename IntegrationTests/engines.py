"""Engines under test, started privately, and the clients that talk to them."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import networks
from places import Place

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
BINARIES = pathlib.Path(os.environ.get("APUS_BIN", REPOSITORY / "build" / "bin"))
IMAGE = "busybox:test"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout=60):
        super().__init__("apus", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def message(self):
        return self.json["message"]


class Engine:
    """A daemon with directories and a socket of its own."""

    #: Whether it is the engine of this repository; others prove that the tests ask for what Docker does.
    is_apus = True

    def __init__(self, *options):
        self.options = options
        # A unix socket's path has room for 107 bytes: keep it short.
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="apus-", dir="/tmp"))
        self.root, self.run, self.socket = self.base / "root", self.base / "run", self.base / "s"
        self.log = self.base / "log"
        self.process = None
        #: Where its networks are.
        self.host = Place("machine", os.getpid())

    def command(self):
        return [
            str(BINARIES / "apusd"), "--root", str(self.root), "--run-dir", str(self.run),
            # The same tests with layers as directories: APUS_TEST_LAYERS=directories.
            *(["--layer-store", os.environ["APUS_TEST_LAYERS"]] if "APUS_TEST_LAYERS" in os.environ else []),
            "--socket", str(self.socket), *self.options
        ]

    def environment(self):
        return {**os.environ, "APUS_HOST": f"unix://{self.socket}", "DOCKER_HOST": f"unix://{self.socket}"}

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            try:
                if self.request("GET", "/_ping").status == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command()[0]} does not answer:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.01)

    def kill(self):
        """Kills the daemon as a crash would; containers are left to themselves."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def close(self):
        """Removes every container, stops the daemon, which must leave nothing on the host, and deletes its directories."""
        left = None
        try:
            if self.process.poll() is not None:
                self.start()
            for container in self.request("GET", "/containers/json?all=1").json:
                self.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        finally:
            self.terminate()
            if self.is_apus:
                left = networks.left_behind(self)
            if os.environ.get("APUS_TEST_KEEP"):
                print(f"kept {self.base}")
            else:
                for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
                    path = line.split()[1]
                    if path.startswith(str(self.base) + "/"):
                        subprocess.run(["umount", "-l", path], check=False)
                shutil.rmtree(self.base, ignore_errors=True)
        assert not left, f"the daemon has left on the host: {left}"

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = UnixConnection(str(self.socket), timeout)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def hijack(self, method, path, body=None):
        """A raw stream after an upgrade: the socket, and what arrived with the head."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(30)
        connection.connect(str(self.socket))
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data)
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            assert piece, received
            received += piece
        head, rest = received.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        return status, connection, rest

    def wait_for(self, condition, timeout=20, what="the condition"):
        deadline = time.monotonic() + timeout
        while True:
            result = condition()
            if result:
                return result
            assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
            time.sleep(0.02)

    def inspect(self, name):
        answer = self.request("GET", f"/containers/{name}/json")
        assert answer.status == 200, answer.body
        return answer.json


class DockerEngine(Engine):
    """Debian's dockerd, to check the tests themselves."""

    is_apus = False

    def command(self):
        return [
            "dockerd", "--data-root", str(self.root), "--exec-root", str(self.run), "--pidfile",
            str(self.base / "pid"), "-H", f"unix://{self.socket}", "--bridge=none", "--iptables=false"
        ]


class Client:
    """A command-line client bound to an engine."""

    def __init__(self, engine, program):
        self.engine, self.name, self.program = engine, pathlib.Path(program).name, str(program)

    def __call__(self, *words, input=None, check=True, timeout=120, text=True, env=None, cwd=None):
        result = subprocess.run(
            [self.program, *words], input=input, capture_output=True, text=text, timeout=timeout, cwd=cwd,
            env={**self.engine.environment(), **(env or {})}, stdin=None if input is not None else subprocess.DEVNULL)
        if check:
            assert result.returncode == 0, f"{self.name} {' '.join(words)}: {result.returncode}\n{result.stderr}"
        return result

    def out(self, *words, **options):
        """Standard output without the last newline."""
        return self(*words, **options).stdout.rstrip("\n")

    def popen(self, *words, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([self.program, *words], env=self.engine.environment(), **options)
