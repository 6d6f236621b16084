"""Names of instances: who is called what, by whom, from when to when; and what is asked of others."""

import os
import random
import socket
import time

import pytest

from dnswire import FORMERR, NOERROR, NXDOMAIN, SERVFAIL, NameServer, lookup, query, resolve
from engines import IMAGE
from world import HOST, OUTSIDE, apus, debian, docker, engine, name, network, own_host_engine, world  # noqa: F401

pytestmark = pytest.mark.apusd

MANY = 40
CODES = {"servfail.example": SERVFAIL, "silent.example": None}


def upstream_answer(name, kind):
    """What the world's own name server knows."""
    if name in CODES:
        return CODES[name]
    if name.endswith(".example"):
        if name.startswith("large."):
            return [("A", f"192.0.2.{number}") for number in range(60)] if kind == "A" else []
        return {"A": [("A", "192.0.2.80")], "AAAA": [("AAAA", "2001:db8:ff::80")]}.get(kind, [])
    return [("PTR", "www.example")] if name == "80.2.0.192.in-addr.arpa" else NXDOMAIN


@pytest.fixture(scope="module")
def upstream(world):
    """The server that the host's resolv.conf names: on the host's loopback, as systemd-resolved has it."""
    server = NameServer(world.host, "127.0.0.1", upstream_answer)
    yield server
    server.close()


@pytest.fixture
def pair(engine, network, name, upstream):
    """Two instances of one network, with a name, an alias and a place each."""
    joined = network(EnableIPv6=True)
    names = [name("-a"), name("-b")]
    for chosen in names:
        engine.run_container(chosen, network={joined: {"Aliases": [f"{chosen}-alias"]}})
    return joined, *names


def addresses(engine, name, network=None):
    it = engine.endpoint(name, network)
    return [it["IPAddress"]], [it["GlobalIPv6Address"]]


def test_what_an_instance_is_called(engine, pair):
    """Its name, its alias and its short id, alone or with the network's name; over UDP and TCP; itself and its neighbour."""
    joined, one, other = pair
    v4, v6 = addresses(engine, other)
    identifier = engine.inspect(other)["Id"][:12]
    for place in (engine.place(one), engine.place(other)):
        for name in (other, f"{other}-alias", identifier, f"{other}.{joined}", other.upper(), f"{other}."):
            for over in ("udp", "tcp"):
                assert resolve(place, name, "A", over=over) == v4, name
                assert resolve(place, name, "AAAA", over=over) == v6, name


def test_answers_are_as_they_should_be(engine, pair):
    _, one, other = pair
    mixed = "".join(random.choice((letter.upper(), letter)) for letter in other)
    message = lookup(engine.place(one), mixed)
    assert message.questions == [(mixed, "A")] and message.offers_recursion and message.rcode == NOERROR
    # Instances come and go: nobody is to remember for long.
    assert message.answers[0].ttl <= 600 and not message.options
    message = lookup(engine.place(one), other, size=4096)
    assert message.options and message.options[0].value >= 512
    message = lookup(engine.place(one), other, "TXT")
    assert (message.rcode, message.answers) == (NOERROR, [])


def test_addresses_have_names(engine, pair):
    joined, one, other = pair
    v4, v6 = addresses(engine, other)
    reverse = ".".join(reversed(v4[0].split("."))) + ".in-addr.arpa"
    assert lookup(engine.place(one), reverse, "PTR").values == [f"{other}.{joined}"]
    whole = socket.inet_pton(socket.AF_INET6, v6[0]).hex()
    assert lookup(engine.place(one), ".".join(reversed(whole)) + ".ip6.arpa", "PTR").values == [f"{other}.{joined}"]


@pytest.mark.parametrize("settings, kinds", [
    ({"EnableIPv6": True}, ["A", "AAAA"]), ({"EnableIPv6": False}, ["A"]),
    ({"EnableIPv4": False, "EnableIPv6": True}, ["AAAA"]),
    # Instances have IPv6 without being asked, but many programs' servers do not listen there.
    ({}, ["A"]),
])
def test_families_of_names(engine, network, name, upstream, settings, kinds):
    joined, chosen = network(**settings), name()
    engine.run_container(chosen, network=joined)
    for kind in ("A", "AAAA"):
        message = lookup(engine.place(chosen), chosen, kind)
        # It is there, though it may have no such address: nobody else is to be asked.
        assert message.rcode == NOERROR and len(message.answers) == (1 if kind in kinds else 0)
    assert not [it for it in upstream.asked if it[0] == chosen]


def test_an_internal_network_asks_nobody_outside(engine, network, name, upstream):
    joined, chosen = network(Internal=True), name()
    engine.run_container(chosen, network=joined)
    foreign = f"www{time.monotonic_ns()}.example"
    assert resolve(engine.place(chosen), chosen)
    message = lookup(engine.place(chosen), foreign)
    assert message.rcode != NOERROR and not message.answers
    assert not [it for it in upstream.asked if it[0] == foreign]


def test_replicas_take_turns(engine, network, name, upstream):
    joined = network()
    names = [name(f"-{number}") for number in range(3)]
    for chosen in names:
        engine.run_container(chosen, network={joined: {"Aliases": ["web"]}})
    place = engine.place(names[0])
    first = [lookup(place, "web").values for _ in range(12)]
    assert {tuple(sorted(values)) for values in first} == {tuple(sorted(addresses(engine, it)[0][0] for it in names))}
    for address in first[0]:
        assert 2 <= sum(values[0] == address for values in first) <= 6
    engine.request("POST", f"/containers/{names[1]}/stop?t=0")
    assert len(resolve(place, "web")) == 2


@pytest.mark.slow
def test_many_replicas_need_more_than_a_packet(engine, network, name, upstream):
    joined = network(EnableIPv6=True)
    names = [name(f"-{number}") for number in range(MANY)]
    for chosen in names:
        engine.run_container(chosen, network={joined: {"Aliases": ["many"]}})
    place = engine.place(names[0])
    small = lookup(place, "many")
    assert small.is_truncated and len(small.data) <= 512
    assert not lookup(place, "many", size=4096).is_truncated
    for kind in ("A", "AAAA"):
        assert len(resolve(place, "many", kind, over="tcp")) == MANY
    assert len(resolve(place, "many", size=4096)) == MANY


def test_names_are_there_before_the_process(engine, network, name, upstream):
    """The first thing that an instance does is to look itself and its neighbour up."""
    joined, neighbour = network(), name()
    engine.run_container(neighbour, network=joined)
    expected = addresses(engine, neighbour)[0][0]
    for _ in range(10):
        for wanted in (neighbour, None):
            chosen = name()
            engine.run_container(chosen, "busybox", "nslookup", "-type=a", wanted or chosen, network=joined)
            assert engine.request("POST", f"/containers/{chosen}/wait").json["StatusCode"] == 0
            output = engine.request("GET", f"/containers/{chosen}/logs?stdout=1&stderr=1").body.decode(errors="replace")
            assert f"Name:\t{wanted or chosen}" in output and "NXDOMAIN" not in output, output
            assert wanted is None or expected in output


def test_the_c_library_finds_them(engine, debian, network, name, upstream):
    joined, neighbour = network(EnableIPv6=True), name()
    engine.run_container(neighbour, network={joined: {"Aliases": ["db"]}})
    v4, v6 = addresses(engine, neighbour)
    client = name()
    engine.run_container(
        client, "sh", "-c", f"getent ahosts db; getent hosts {v4[0]}; getent ahosts www.example; getent hosts nosuch",
        network=joined, image=debian)
    assert engine.request("POST", f"/containers/{client}/wait").json["StatusCode"] == 2
    output = engine.request("GET", f"/containers/{client}/logs?stdout=1").body.decode(errors="replace")
    for text in (v4[0], v6[0], neighbour, "192.0.2.80", "2001:db8:ff::80"):
        assert text in output, output


def test_names_go_with_the_instance(engine, pair):
    _, one, other = pair
    place = engine.place(one)
    assert resolve(place, other)
    engine.request("POST", f"/containers/{other}/stop?t=0")
    for name in (other, f"{other}-alias"):
        assert lookup(place, name).rcode == NXDOMAIN
    engine.request("POST", f"/containers/{other}/start")
    assert resolve(place, other) == addresses(engine, other)[0]
    engine.request("POST", f"/containers/{other}/rename?name={other}-new")
    assert resolve(place, f"{other}-new") and lookup(place, other).rcode == NXDOMAIN
    engine.request("POST", f"/containers/{other}-new/rename?name={other}")


def test_names_are_for_those_who_share_a_network(engine, network, name, upstream):
    first, second = network(), network()
    one, other, both = name("-1"), name("-2"), name("-12")
    engine.run_container(one, network=first)
    engine.run_container(other, network=second)
    engine.run_container(both, network={first: {"Aliases": ["here"]}, second: {"Aliases": ["there"]}})
    assert lookup(engine.place(one), other).rcode == NXDOMAIN
    assert resolve(engine.place(both), one) and resolve(engine.place(both), other)
    assert resolve(engine.place(one), both) == addresses(engine, both, first)[0]
    assert resolve(engine.place(other), both) == addresses(engine, both, second)[0]
    assert resolve(engine.place(one), "here") and lookup(engine.place(one), "there").rcode == NXDOMAIN
    # An address of another network has no name here.
    reverse = ".".join(reversed(addresses(engine, other)[0][0].split("."))) + ".in-addr.arpa"
    assert lookup(engine.place(one), reverse, "PTR").rcode == NXDOMAIN
    # Who comes is known at once, and who leaves no more.
    engine.request("POST", f"/networks/{second}/connect", {"Container": one, "EndpointConfig": {"Aliases": ["late"]}})
    assert resolve(engine.place(one), other) and resolve(engine.place(other), "late")
    engine.request("POST", f"/networks/{second}/disconnect", {"Container": one})
    assert lookup(engine.place(one), other).rcode == lookup(engine.place(other), "late").rcode == NXDOMAIN


def test_links_are_names_that_one_instance_has(cli, engine, network, name, upstream):
    joined, target, one, other = network(), name(), name("-1"), name("-2")
    cli("run", "-d", "--name", target, "--network", joined, IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", one, "--network", joined, "--link", f"{target}:db", IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", other, "--network", joined, IMAGE, "sleep", "1000")
    assert resolve(engine.place(one), "db") == addresses(engine, target)[0]
    assert lookup(engine.place(other), "db").rcode == NXDOMAIN


def test_the_default_network_has_no_names_but_links(cli, engine, name, upstream):
    target, chosen = name("-1"), name("-2")
    cli("run", "-d", "--name", target, IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", chosen, "--link", f"{target}:db", IMAGE, "sleep", "1000")
    with pytest.raises(OSError):
        lookup(engine.place(chosen), target, timeout=0.5)
    assert "127.0.0.11" not in cli.out("exec", chosen, "cat", "/etc/resolv.conf")
    lines = [line.split() for line in cli.out("exec", chosen, "cat", "/etc/hosts").splitlines()]
    linked = next(line for line in lines if "db" in line)
    assert linked[0] == engine.endpoint(target)["IPAddress"] and target in linked


def test_other_names_are_asked_for(engine, pair, upstream):
    _, one, _ = pair
    place = engine.place(one)
    name = f"www{time.monotonic_ns()}.example"
    for over in ("udp", "tcp"):
        assert resolve(place, name, over=over) == ["192.0.2.80"]
    assert resolve(place, name, "AAAA") == ["2001:db8:ff::80"]
    assert lookup(place, "80.2.0.192.in-addr.arpa", "PTR").values == ["www.example"]
    assert lookup(place, "nosuch.invalid").rcode == NXDOMAIN
    assert lookup(place, "servfail.example", timeout=10).rcode == SERVFAIL
    # What is known is not asked for again.
    assert len([it for it in upstream.asked if it[:2] == (name, "A")]) == 1


def test_large_answers_come_whole(engine, pair, upstream):
    _, one, _ = pair
    place = engine.place(one)
    assert lookup(place, "large.example").is_truncated
    assert len(resolve(place, "large.example", over="tcp")) == 60
    assert ("large.example", "A", "tcp") in upstream.asked


def test_servers_that_a_user_names(engine, network, name, world, upstream):
    """`--dns`: asked instead of the host's, and the next where one is silent."""
    server = NameServer(world.outside, OUTSIDE[4], lambda name, kind: [("A", "192.0.2.99")] if kind == "A" else [])
    try:
        chosen = name()
        engine.run_container(chosen, network=network(), HostConfig={"Dns": ["198.51.100.77", OUTSIDE[4]]})
        assert resolve(engine.place(chosen), "www.example", timeout=15) == ["192.0.2.99"]
    finally:
        server.close()


def test_silence_is_an_answer_too(engine, pair):
    _, one, _ = pair
    assert lookup(engine.place(one), "silent.example", timeout=20).rcode == SERVFAIL


def test_nonsense_disturbs_nobody(engine, pair):
    _, one, other = pair
    place = engine.place(one)
    random.seed(6)
    expected = resolve(place, other)
    whole = query(other)
    packets = [b"", b"\0", whole[:11], whole[:-3], whole[:12] + b"\xc0\x0c" + whole[12:], b"\xff" * 512, b"\0" * 600]
    packets += [whole[:12] + b"\x3f" * 300, whole[:2] + b"\x81\x80" + whole[4:], whole[:4] + b"\xff\xff" + whole[6:]]
    packets += [random.randbytes(random.randrange(1, 1400)) for _ in range(100)]
    for _ in range(100):
        changed = bytearray(whole)
        for _ in range(random.randrange(1, 4)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        packets.append(bytes(changed))
    with place.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.11", 53))
        for packet in packets:
            client.send(packet)
    for packet in packets[:30] + [b"\xff\xff", b"\0\0", b"\0\x05abc"]:
        with place.connect("127.0.0.11", 53) as client:
            client.sendall(packet)
    # Nor do those who say nothing.
    idle = [place.connect("127.0.0.11", 53) for _ in range(20)]
    for over in ("udp", "tcp"):
        assert resolve(place, other, over=over) == expected
    for client in idle:
        client.close()
    with place.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.connect(("127.0.0.11", 53))
        client.send(whole[:4] + b"\0\2" + whole[6:])
        assert client.recv(1000)[3] & 15 == FORMERR


def test_an_instance_may_serve_names_itself(engine, pair, world):
    """Port 53 of all its addresses is its own."""
    _, one, other = pair
    own = NameServer(engine.place(one), "0.0.0.0", lambda name, kind: [("A", "192.0.2.1")] if kind == "A" else [])
    try:
        address = addresses(engine, one)[0][0]
        for over in ("udp", "tcp"):
            assert resolve(engine.place(other), "anything", server=address, over=over) == ["192.0.2.1"]
            assert resolve(engine.place(one), "anything", server="127.0.0.1", over=over) == ["192.0.2.1"]
            assert resolve(engine.place(one), other, over=over) == addresses(engine, other)[0]
    finally:
        own.close()


def test_nobody_else_reaches_the_resolver(engine, pair, world):
    """It is in the instance's own namespace, on its loopback: not open to neighbours, and nowhere on the host."""
    _, one, other = pair
    address = addresses(engine, one)[0][0]
    for place in (engine.place(other), world.host):
        with pytest.raises(OSError):
            lookup(place, other, server=address, timeout=0.3)
    for gateway in (engine.endpoint(one)["Gateway"], HOST["wan4"]):
        with pytest.raises(OSError):
            lookup(engine.place(one), other, server=gateway, timeout=0.3)


def test_names_after_the_daemons_death(own_host_engine):
    engine = own_host_engine
    server = NameServer(engine.host, "127.0.0.1", upstream_answer)
    try:
        engine.make_network("mine", EnableIPv6=True)
        for name in ("one", "two"):
            engine.run_container(name, network={"mine": {"Aliases": ["web"]}})
        place = engine.place("one")
        before = [resolve(place, name, kind) for name in ("two", "web", "www.example") for kind in ("A", "AAAA")]
        assert all(before)
        engine.kill()
        with pytest.raises(OSError):
            lookup(place, "two", timeout=0.3)
        engine.start()
        for over in ("udp", "tcp"):
            assert [resolve(place, name, kind, over=over)
                    for name in ("two", "web", "www.example") for kind in ("A", "AAAA")] == before
        os.kill(engine.inspect("two")["State"]["Pid"], 9)
        engine.wait_for(lambda: len(resolve(place, "web")) == 1, what="the name to go")
    finally:
        server.close()
