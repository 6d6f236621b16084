"""DNS (RFC 1035) as far as tests need it: questions and answers as bytes, a client, and a server to ask."""

import collections
import contextlib
import ipaddress
import random
import selectors
import socket
import struct
import threading

TYPES = {"A": 1, "PTR": 12, "TXT": 16, "AAAA": 28, "OPT": 41}
NAMES = {number: name for name, number in TYPES.items()}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN = 0, 1, 2, 3

Record = collections.namedtuple("Record", "name type ttl value")


class Message:
    def __init__(self, data):
        self.data = data
        self.id, flags, questions, answers, authorities, more = struct.unpack("!6H", data[:12])
        self.rcode = flags & 15
        self.is_reply, self.is_truncated, self.offers_recursion = flags >> 15 & 1, flags >> 9 & 1, flags >> 7 & 1
        offset = 12
        self.questions, records = [], []
        for _ in range(questions):
            name, offset = read_name(data, offset)
            kind, _ = struct.unpack("!HH", data[offset:offset + 4])
            self.questions.append((name, NAMES.get(kind, kind)))
            offset += 4
        for _ in range(answers + authorities + more):
            name, offset = read_name(data, offset)
            kind, size, ttl, length = struct.unpack("!HHIH", data[offset:offset + 10])
            offset += 10
            records.append(Record(name, NAMES.get(kind, kind), ttl, value(kind, size, data, offset, length)))
            offset += length
        self.answers = records[:answers]
        self.options = [it for it in records[answers:] if it.type == "OPT"]

    @property
    def values(self):
        return [it.value for it in self.answers]


def value(kind, size, data, offset, length):
    piece = data[offset:offset + length]
    if kind in (1, 28):
        return str(ipaddress.ip_address(piece))
    if kind == 12:
        return read_name(data, offset)[0]
    # The class of an OPT record is the size of a packet (RFC 6891).
    return size if kind == 41 else piece


def read_name(data, offset):
    labels, after = [], None
    while data[offset]:
        if data[offset] >= 0xC0:
            after = after or offset + 2
            offset = struct.unpack("!H", data[offset:offset + 2])[0] & 0x3FFF
            continue
        labels.append(data[offset + 1:offset + 1 + data[offset]].decode())
        offset += 1 + data[offset]
    return ".".join(labels), after or offset + 1


def write_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query(name, kind="A", size=None, identifier=None):
    """`size`: of the largest answer, as EDNS says it; None: no EDNS."""
    identifier = random.randrange(1 << 16) if identifier is None else identifier
    head = struct.pack("!6H", identifier, 0x0100, 1, 0, 0, 0 if size is None else 1)
    options = b"" if size is None else b"\0" + struct.pack("!HHIH", 41, size, 0, 0)
    return head + write_name(name) + struct.pack("!HH", TYPES[kind], 1) + options


def reply(question, records, rcode=NOERROR, truncated=False):
    """`records`: pairs of a type and a value, all about the name that is asked for."""
    name, kind = question.questions[0]
    head = struct.pack("!6H", question.id, 0x8180 | truncated << 9 | rcode, 1, len(records), 0, 0)
    body = write_name(name) + struct.pack("!HH", TYPES.get(kind, kind), 1)
    for kind, text in records:
        data = ipaddress.ip_address(text).packed if kind in ("A", "AAAA") else write_name(text)
        body += b"\xc0\x0c" + struct.pack("!HHIH", TYPES[kind], 1, 60, len(data)) + data
    return head + body


def lookup(place, name, kind="A", server="127.0.0.11", size=None, over="udp", timeout=3):
    """Asks as a process in `place` would. OSError where nobody answers."""
    packet = query(name, kind, size)
    with contextlib.closing(place.socket(
            socket.AF_INET6 if ":" in server else socket.AF_INET,
            socket.SOCK_STREAM if over == "tcp" else socket.SOCK_DGRAM)) as client:
        client.settimeout(timeout)
        client.connect((server, 53))
        if over == "tcp":
            client.sendall(struct.pack("!H", len(packet)) + packet)
            data = receive(client)
        else:
            client.send(packet)
            data = client.recv(65535)
    message = Message(data)
    assert message.id == struct.unpack("!H", packet[:2])[0] and message.is_reply
    return message


def receive(connection):
    length = struct.unpack("!H", exactly(connection, 2))[0]
    return exactly(connection, length)


def exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError("closed early")
        data += piece
    return data


def resolve(place, name, kind="A", **options):
    """The addresses, sorted; empty for a name that is not there."""
    return sorted(lookup(place, name, kind, **options).values)


class NameServer:
    """A server in a place, on port 53 of one address. `answer(name, type)`: records, or a code for an error."""

    def __init__(self, place, address, answer):
        self.answer, self.asked = answer, []
        self.udp, self.tcp = (place.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        for listener in (self.udp, self.tcp):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, 53))
        self.tcp.listen(20)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        self.stop.set()
        self.thread.join()
        self.udp.close()
        self.tcp.close()

    def _serve(self):
        with selectors.DefaultSelector() as selector:
            for listener in (self.udp, self.tcp):
                selector.register(listener, selectors.EVENT_READ)
            while not self.stop.is_set():
                for key, _ in selector.select(0.05):
                    # Whoever sends nonsense gets no answer.
                    with contextlib.suppress(OSError, ValueError, IndexError, struct.error):
                        self._answer(key.fileobj)

    def _answer(self, listener):
        if listener is self.udp:
            data, asker = listener.recvfrom(65535)
            if (answer := self._reply(data, "udp", 512)) is not None:
                listener.sendto(answer, asker)
            return
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(2)
            answer = self._reply(receive(connection), "tcp", 65535)
            connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _reply(self, data, over, most):
        question = Message(data)
        name, kind = question.questions[0]
        self.asked.append((name.lower(), kind, over))
        found = self.answer(name.lower(), kind)
        if found is None:
            return None
        if isinstance(found, int):
            return reply(question, [], found)
        whole = reply(question, found)
        return whole if len(whole) <= most else reply(question, [], truncated=True)
