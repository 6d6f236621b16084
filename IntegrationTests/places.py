"""Places to talk from and to: network namespaces, servers in them that say who asked, and many questions at once."""

import collections
import contextlib
import ctypes
import ipaddress
import json
import os
import selectors
import socket
import subprocess
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1


class Place:
    """The network namespace of a process: to open sockets in, and to run programs in."""

    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        self.namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def close(self):
        os.close(self.namespace)

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in the namespace, and so is what it starts. Its sockets stay there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(self.namespace)
            try:
                yield
            finally:
                enter(before)
        finally:
            os.close(before)

    def socket(self, family, kind):
        with self.inside():
            return socket.socket(family, kind)

    def connect(self, address, port, timeout=5):
        connection = self.socket(family(address), socket.SOCK_STREAM)
        connection.settimeout(timeout)
        connection.connect((address, port))
        return connection

    def run(self, *words, check=True, **options):
        """A program of the machine's, in this network; `ip` and `nft` see and change it."""
        options = {"capture_output": True, "text": True, "timeout": 60, **options}
        with self.inside():
            result = subprocess.run(words, check=False, **options)
        assert not check or result.returncode == 0, f"{' '.join(words)}: {result.returncode}\n{result.stderr}"
        return result

    def out(self, *words, **options):
        return self.run(*words, **options).stdout.strip()

    def popen(self, *words, **options):
        with self.inside():
            return subprocess.Popen(words, **options)

    def set(self, name, value):
        with self.inside(), open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
            file.write(str(value))

    def get(self, name):
        with self.inside(), open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return file.read().strip()

    def filters_bridges(self):
        """Whether IPv4 that is bridged passes the IP filter."""
        try:
            return self.get("net.bridge.bridge-nf-call-iptables") != "0"
        except FileNotFoundError:
            return False

    def links(self):
        """The interfaces but loopback, by name, as `ip` describes them."""
        links = json.loads(self.out("ip", "-j", "-d", "link") or "[]")
        return {link["ifname"]: link for link in links if link["ifname"] != "lo"}

    def addresses(self, interface=None):
        """Global addresses of all interfaces or of one, with the lengths of their prefixes."""
        words = ["dev", interface] if interface else []
        found = json.loads(self.out("ip", "-j", "address", "show", *words) or "[]")
        return [f"{it['local']}/{it['prefixlen']}" for link in found for it in link.get("addr_info", [])
                if it["scope"] == "global"]

    def tables(self):
        """Tables of nftables, as `family name`."""
        return [line.removeprefix("table ") for line in self.out("nft", "list", "tables").splitlines()]


def enter(namespace):
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Machine(Place):
    """A namespace that a process of ours holds, with mounts of its own; it goes with this process."""

    def __init__(self, name):
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "slave", "sleep", "infinity"],
            preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, 9))
        own = os.readlink("/proc/self/ns/mnt")
        deadline = time.monotonic() + 10
        # `sleep` is there when `unshare` has done its work.
        while os.readlink(f"/proc/{self.holder.pid}/ns/mnt") == own or b"sleep" not in self._program():
            assert time.monotonic() < deadline, "unshare does not answer"
            time.sleep(0.002)
        super().__init__(name, self.holder.pid)
        self.run("ip", "link", "set", "lo", "up")

    def _program(self):
        with open(f"/proc/{self.holder.pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")[0]

    def entering(self):
        """The words before a command that is to run with this machine's network and mounts."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt"]

    def close(self):
        super().close()
        self.holder.kill()
        self.holder.wait()


def plug(first, interface, first_addresses, second, other, second_addresses):
    """A cable between two places."""
    first.run("ip", "link", "add", interface, "type", "veth", "peer", "name", other, "netns", str(second.pid))
    for place, name, addresses in ((first, interface, first_addresses), (second, other, second_addresses)):
        place.run("ip", "link", "set", name, "up")
        for address in addresses:
            place.run("ip", "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))


@contextlib.contextmanager
def loopback_led_to(place, gateway):
    """What the place sends to 127.0.0.1 goes to another machine: what an attacker does. Answers are not understood."""
    place.set("net.ipv4.conf.all.route_localnet", 1)
    try:
        for subnet in ("127.0.0.1", "127.0.0.0/8"):
            place.run("ip", "route", "delete", "local", subnet, "dev", "lo", "table", "local", check=False)
        place.run("ip", "route", "add", "127.0.0.0/8", "via", gateway)
        yield
    finally:
        place.run("ip", "route", "delete", "127.0.0.0/8", check=False)
        # Its own routes come back with it.
        place.run("ip", "link", "set", "lo", "down")
        place.run("ip", "link", "set", "lo", "up")
        place.set("net.ipv4.conf.all.route_localnet", 0)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def plain(address):
    """IPv4 as IPv4, though a socket of both families has heard it."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


class Servers:
    """TCP and UDP servers in many places, in one thread. Each says its name and the address that it was asked from."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        #: (name, asker's address), in the order they asked.
        self.heard = []
        self.sockets = []
        self.wake, self.woken = os.pipe()
        self.selector.register(self.wake, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def add(self, place, name, port):
        """Serves `port` of both protocols, on every address of both families."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            listener = place.socket(socket.AF_INET6, kind)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            if kind == socket.SOCK_DGRAM:
                # An answer must come from the address that was asked.
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            listener.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                listener.listen(100)
            self.sockets.append(listener)
            self.selector.register(listener, selectors.EVENT_READ, (kind, name))

    def close(self):
        os.write(self.woken, b"x")
        self.thread.join()
        for listener in self.sockets:
            listener.close()
        for end in (self.wake, self.woken):
            os.close(end)
        self.selector.close()

    def _serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                with contextlib.suppress(OSError):
                    self._answer(key.fileobj, *key.data)

    def _answer(self, listener, kind, name):
        if kind == socket.SOCK_STREAM:
            connection, asker = listener.accept()
            self.heard.append((name, plain(asker[0])))
            with connection:
                connection.sendall(json.dumps([name, plain(asker[0])]).encode())
                connection.shutdown(socket.SHUT_WR)
        else:
            _, extras, _, asker = listener.recvmsg(100, 100)
            self.heard.append((name, plain(asker[0])))
            level, what, asked = next(it for it in extras if it[1] == socket.IPV6_PKTINFO)
            listener.sendmsg([json.dumps([name, plain(asker[0])]).encode()],
                             [(level, what, asked[:16] + bytes(4))], 0, asker)


#: `protocol` is "tcp" or "udp".
Question = collections.namedtuple("Question", "place protocol address port")
#: Who answered, and which address it saw.
Answer = collections.namedtuple("Answer", "name source")


def ask(questions, patience=1.0):
    """Asks all at once. The answers in the order of the questions; None where nobody answered in time."""
    selector = selectors.DefaultSelector()
    answers = [None] * len(questions)
    open_sockets = {}
    places = collections.defaultdict(list)
    for number, question in enumerate(questions):
        places[question.place].append(number)
    for place, numbers in places.items():
        with place.inside():
            for number in numbers:
                kind = socket.SOCK_STREAM if questions[number].protocol == "tcp" else socket.SOCK_DGRAM
                open_sockets[number] = socket.socket(family(questions[number].address), kind)
    for number, asker in open_sockets.items():
        asker.setblocking(False)
        error = asker.connect_ex((questions[number].address, questions[number].port))
        if error not in (0, 115):
            continue
        with contextlib.suppress(OSError):
            if questions[number].protocol == "udp":
                asker.send(b"who?")
            selector.register(asker, selectors.EVENT_READ, number)
    deadline = time.monotonic() + patience
    while selector.get_map() and (left := deadline - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            # Whoever refuses makes it readable too.
            with contextlib.suppress(OSError, ValueError):
                answers[key.data] = Answer(*json.loads(key.fileobj.recv(1000)))
            selector.unregister(key.fileobj)
    for asker in open_sockets.values():
        asker.close()
    selector.close()
    return answers


def reach(questions, patience=1.0):
    """As `ask`, and again with more patience what nobody answered: a busy machine is not a closed door."""
    answers = ask(questions, patience)
    missing = [number for number, answer in enumerate(answers) if answer is None]
    for number, answer in zip(missing, ask([questions[number] for number in missing], 5)):
        answers[number] = answer
    return answers
