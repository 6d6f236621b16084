"""Published ports: their forms, who holds them, who reaches them, and that they outlive everything but their instance.

APUS_TEST_CYCLES: how often instances with ports are started and stopped (100 in the suite; 1,000 by hand).
"""

import concurrent.futures
import contextlib
import json
import os
import random
import re
import socket
import subprocess
import time

import pytest

import images
from dnswire import lookup
from engines import IMAGE
from networks import at_rest, settled, table
from places import Question, Servers, ask, loopback_led_to, reach
from test_networks import iperf_server, refused
from world import HOST, OUTSIDE, apus, docker, engine, name, network, own_host_engine, world  # noqa: F401

pytestmark = pytest.mark.apusd

CYCLES = int(os.environ.get("APUS_TEST_CYCLES", "100"))
WAN4, WAN6, LAN4 = HOST["wan4"], HOST["wan6"], HOST["lan4"]


@pytest.fixture
def servers():
    servers = Servers()
    yield servers
    servers.close()


def both(port):
    """What inspect says of a port of every address."""
    return [("0.0.0.0", port), ("::", port)]


def published(engine, name):
    """As inspect says it; the order means nothing."""
    return {port: sorted(found) for port, found in engine.ports(name).items()}


def addresses(*ports):
    """Every address, for each of these ports."""
    return sorted(it for port in ports for it in both(port))


# Forms


@pytest.mark.parametrize("words, expected", [
    (["-p", "43000:7000"], {"7000/tcp": both(43000)}),
    (["-p", "43000:7000/udp"], {"7000/udp": both(43000)}),
    (["-p", "43000:7000", "-p", "43000:7000/udp"], {"7000/tcp": both(43000), "7000/udp": both(43000)}),
    (["-p", "43000:7000", "-p", "43001:7000"], {"7000/tcp": both(43000) + both(43001)}),
    (["-p", "127.0.0.1:43000:7000"], {"7000/tcp": [("127.0.0.1", 43000)]}),
    (["-p", "[::1]:43000:7000"], {"7000/tcp": [("::1", 43000)]}),
    (["-p", f"{WAN4}:43000:7000", "-p", f"{LAN4}:43000:7001"],
     {"7000/tcp": [(WAN4, 43000)], "7001/tcp": [(LAN4, 43000)]}),
    (["-p", "43010-43012:7000-7002"], {f"{7000 + it}/tcp": both(43010 + it) for it in range(3)}),
    (["-p", "43020-43029:7000"], {"7000/tcp": both(43020)}),
    (["--publish", "published=43000,target=7000,protocol=udp"], {"7000/udp": both(43000)}),
    (["-p", "0.0.0.0:43000:7000"], {"7000/tcp": [("0.0.0.0", 43000)]}),
    (["-p", "[::]:43000:7000"], {"7000/tcp": [("::", 43000)]}),
])
def test_forms(cli, name, engine, words, expected):
    chosen = name()
    cli("run", "-d", "--name", chosen, *words, IMAGE, "sleep", "1000")
    assert published(engine, chosen) == {port: sorted(found) for port, found in expected.items()}
    lines = cli.out("port", chosen).splitlines()
    assert len(lines) == sum(len(found) for found in expected.values())
    shown = cli.out("ps", "--filter", f"name={chosen}", "--format", "{{.Ports}}")
    for port in expected:
        inside, protocol = port.split("/")
        assert re.search(rf"->\d*-?{inside}-?\d*/{protocol}|->[0-9-]+/{protocol}", shown), shown
    cli("stop", "-t", "0", chosen)
    assert engine.ports(chosen) == {} and cli.out("port", chosen) == ""
    cli("start", chosen)
    assert engine.ports(chosen)
    cli("rm", "-f", chosen)


def test_random_ports(cli, name, engine, world, servers):
    chosen = name()
    cli("run", "-d", "--name", chosen, "-p", "7000", "-p", f"{WAN4}::7000/udp", IMAGE, "sleep", "1000")
    servers.add(engine.place(chosen), chosen, 7000)
    ports = engine.ports(chosen)
    (v4, first), (v6, second) = sorted(ports["7000/tcp"])
    assert (v4, v6, first) == ("0.0.0.0", "::", second) and first >= 1024
    udp = ports["7000/udp"][0][1]
    assert cli.out("port", chosen, "7000/udp") == f"{WAN4}:{udp}"
    questions = [Question(world.outside, "tcp", WAN4, first), Question(world.outside, "udp", WAN4, udp)]
    assert [answer and answer.name for answer in reach(questions)] == [chosen] * 2


def test_everything_that_is_exposed(cli, name, engine):
    chosen = name()
    cli("run", "-d", "-P", "--name", chosen, "--expose", "7000-7002", "--expose", "7000/udp", IMAGE, "sleep", "1000")
    ports = engine.ports(chosen)
    assert sorted(ports) == ["7000/tcp", "7000/udp", "7001/tcp", "7002/tcp"]
    numbers = [{port for _, port in found} for found in ports.values()]
    assert all(len(it) == 1 for it in numbers) and len({(port, key.split("/")[1]) for key, it in zip(
        ports, numbers) for port in it}) == 4


def test_a_range_gives_the_first_that_is_free(cli, name, engine, world):
    with world.host.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("0.0.0.0", 43100))
        taken.listen()
        names = [name() for _ in range(3)]
        for chosen in names[:2]:
            cli("run", "-d", "--name", chosen, "-p", "43100-43102:7000", IMAGE, "sleep", "1000")
        assert [engine.ports(chosen)["7000/tcp"][0][1] for chosen in names[:2]] == [43101, 43102]
        refused(cli("run", "--rm", "--name", names[2], "-p", "43100-43102:7000", IMAGE, "true", check=False), "4310")


# (what is published, for whom it is, by which addresses) → who reaches it
@pytest.mark.parametrize("published, reached", [
    ("43200:7000", {"host 127.0.0.1", "host ::1", f"host {WAN4}", f"host {WAN6}", f"host {LAN4}", f"outside {WAN4}",
                    f"outside {WAN6}", f"outside {LAN4}"}),
    ("0.0.0.0:43200:7000", {"host 127.0.0.1", f"host {WAN4}", f"host {LAN4}", f"outside {WAN4}", f"outside {LAN4}"}),
    ("[::]:43200:7000", {"host ::1", f"host {WAN6}", f"outside {WAN6}"}),
    ("127.0.0.1:43200:7000", {"host 127.0.0.1"}),
    ("[::1]:43200:7000", {"host ::1"}),
    (f"{WAN4}:43200:7000", {f"host {WAN4}", f"outside {WAN4}"}),
    (f"[{WAN6}]:43200:7000", {f"host {WAN6}", f"outside {WAN6}"}),
])
def test_addresses_of_the_host(apus, name, engine, world, servers, published, reached):
    chosen = name()
    apus("run", "-d", "--name", chosen, "-p", published, "-p", f"{published}/udp", IMAGE, "sleep", "1000")
    servers.add(engine.place(chosen), chosen, 7000)
    for protocol in ("tcp", "udp"):
        questions = {f"{place.name} {address}": Question(place, protocol, address, 43200) for place, addresses in (
            (world.host, ("127.0.0.1", "::1", WAN4, WAN6, LAN4)), (world.outside, (WAN4, WAN6, LAN4)),
        ) for address in addresses}
        found = dict(zip(questions, ask(list(questions.values()))))
        assert {title for title, answer in found.items() if answer} == reached, protocol


def test_the_loopback_is_not_for_others(apus, name, engine, world, servers):
    """A neighbour on the wire that sends packets for 127.0.0.1 to the host does not get to what is published there."""
    chosen, host = name(), world.host
    apus("run", "-d", "--name", chosen, "-p", "127.0.0.1:43210:7000/udp", "-p", "43211:7000/udp", IMAGE, "sleep", "1000")
    servers.add(engine.place(chosen), chosen, 7000)
    questions = [Question(world.outside, "udp", "127.0.0.1", port) for port in (43210, 43211)]
    with loopback_led_to(world.outside, WAN4):
        ask(questions, 0.5)
        assert servers.heard == []
        # It is the engine's table that refuses: with a hole in it, the same packets arrive.
        host.run("nft", "insert", "rule", "inet", table(engine), "loopback", "ip", "daddr", "127.0.0.0/8", "accept")
        ask(questions, 0.5)
        assert servers.heard == [(chosen, OUTSIDE[4])] * 2
    engine.kill()
    engine.start()
    assert "\tip daddr 127.0.0.0/8 accept" not in host.out("nft", "list", "chain", "inet", table(engine), "loopback")


# Who holds a port


def test_another_instance_holds_it(cli, name, engine):
    holder, second = name("-holder"), name()
    cli("run", "-d", "--name", holder, "-p", "43300:7000", IMAGE, "sleep", "1000")
    for words in (["-p", "43300:80"], ["-p", "127.0.0.1:43300:80"], ["-p", f"[{WAN6}]:43300:80"]):
        refused(cli("run", "--name", second, *words, IMAGE, "true", check=False), "43300", holder)
        cli("rm", second)
    # Another protocol, and when the holder has stopped.
    cli("run", "--rm", "-p", "43300:80/udp", IMAGE, "true")
    cli("stop", "-t", "0", holder)
    cli("run", "--rm", "-p", "43300:80", IMAGE, "true")


def test_a_process_of_the_host_holds_it(cli, name, engine, world):
    chosen = name()
    with iperf_server(world.host, 43310):
        pid = world.host.out("ss", "-Htlnp", "sport", "=", ":43310").split("pid=")[1].split(",")[0]
        result = cli("run", "--name", chosen, "-p", "43310:80", IMAGE, "true", check=False)
        refused(result, "43310", "iperf3", pid)
        assert engine.inspect(chosen)["State"]["Status"] == "created"
    cli("start", "-a", chosen)


def test_half_of_what_is_wanted_is_nothing(cli, name, engine, world):
    """Where one of several ports is taken, none is published, and nothing is left of the attempt."""
    holder, chosen = name("-holder"), name()
    cli("run", "-d", "--name", holder, "-p", "43321:7000", IMAGE, "sleep", "1000")
    before = at_rest(engine)
    refused(cli("run", "--name", chosen, "-p", "43320:7000", "-p", "43321:7001", IMAGE, "true", check=False), holder)
    settled(engine, before)
    cli("run", "--rm", "-p", "43320:7000", IMAGE, "true")


def test_nobody_else_takes_what_is_published(apus, name, engine, world):
    chosen = name()
    apus("run", "-d", "--name", chosen, "-p", "43330:7000", "-p", "43330:7000/udp", IMAGE, "sleep", "1000")

    def take(kind, address):
        with world.host.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as taker:
            taker.bind((address, 43330))
            if kind == socket.SOCK_STREAM:
                taker.listen()

    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for address in ("0.0.0.0", "::", "127.0.0.1", WAN4):
            with pytest.raises(OSError):
                take(kind, address)
    # The next daemon holds it again.
    engine.kill()
    engine.start()
    with pytest.raises(OSError):
        take(socket.SOCK_STREAM, "0.0.0.0")
    apus("rm", "-f", chosen)
    take(socket.SOCK_STREAM, "0.0.0.0")


@pytest.mark.parametrize("words, said", [
    (["-p", "0:7000:7000"], "0"), (["-p", "70000:80"], "70000"), (["-p", "80:0"], "0"), (["-p", "x:80"], "x"),
    (["-p", "43000-43001:80-82"], "43000-43001"), (["-p", "43000:80/icmp"], "icmp"),
    (["-p", "300.1.1.1:43000:80"], "300.1.1.1"), (["-p", "192.0.2.77:43000:80"], "192.0.2.77"),
    (["--network", "none", "-p", "43000:80"], ""), (["--network", "container:HOLDER", "-p", "43000:80"], "port"),
])
def test_ports_that_cannot_be(cli, name, engine, words, said):
    if words[:2] == ["--network", "none"]:
        # As Docker has it: without effect.
        assert engine.ports(engine.run_container(name(), network="none", HostConfig={
            "PortBindings": {"80/tcp": [{"HostPort": "43000"}]}})) == {}
        return
    holder = name()
    if "container:HOLDER" in words:
        cli("run", "-d", "--name", holder, IMAGE, "sleep", "1000")
    words = [word.replace("HOLDER", holder) for word in words]
    refused(cli("run", "--rm", *words, IMAGE, "true", check=False), said)


def test_the_hosts_network_has_no_use_for_them(cli, name, engine):
    """Docker's users say both; they are told, whichever way."""
    result = cli("run", "--rm", "--network", "host", "-p", "43340:80", IMAGE, "true", check=False)
    assert "host" in result.stderr and "port" in result.stderr.lower(), result.stderr


# Changed while it runs


def test_ports_come_and_go_while_it_runs(apus, name, engine, world, servers):
    chosen = name()
    apus("run", "-d", "--name", chosen, "-p", "43400:7000", IMAGE, "sleep", "1000")
    servers.add(engine.place(chosen), chosen, 7000)

    def reached(*ports):
        answers = ask([Question(world.outside, "tcp", WAN4, port) for port in ports])
        return [port for port, answer in zip(ports, answers) if answer]

    kept = world.outside.connect(WAN4, 43400)
    apus("update", "--publish", "43401:7000", "--publish", "43402:7000/udp", chosen)
    assert reached(43400, 43401, 43402) == [43400, 43401]
    assert [it and it.name for it in ask([Question(world.outside, "udp", WAN4, 43402)])] == [chosen]
    assert published(engine, chosen) == {"7000/tcp": addresses(43400, 43401), "7000/udp": both(43402)}
    apus("update", "--unpublish", "43400:7000", chosen)
    assert reached(43400, 43401) == [43401]
    # A connection that is there stays.
    assert chosen.encode() in kept.recv(1000)
    kept.close()
    # It is what the instance is published at from now on.
    apus("restart", "-t", "0", chosen)
    assert published(engine, chosen) == {"7000/tcp": both(43401), "7000/udp": both(43402)}
    refused(apus("update", "--unpublish", "43400:7000", chosen, check=False), "43400")
    refused(apus("update", "--publish", "43401:7001", chosen, check=False), "43401")
    other = name()
    apus("run", "-d", "--name", other, "-p", "43400:80", IMAGE, "sleep", "1000")
    refused(apus("update", "--publish", "43400:7000", chosen, check=False), "43400", other)
    assert published(engine, chosen) == {"7000/tcp": both(43401), "7000/udp": both(43402)}
    # A stopped one gets them with its next start.
    apus("stop", "-t", "0", chosen)
    apus("update", "--publish", "43403:7001", "--unpublish", "7000/udp", chosen)
    apus("start", chosen)
    assert published(engine, chosen) == {"7000/tcp": both(43401), "7001/tcp": both(43403)}


def test_ports_follow_the_instance_to_another_network(cli, name, engine, world, network, servers):
    first, second, chosen = network(), network(), name()
    cli("run", "-d", "--name", chosen, "--network", first, "-p", "43410:7000", IMAGE, "sleep", "1000")
    servers.add(engine.place(chosen), chosen, 7000)
    questions = [Question(world.outside, "tcp", address, 43410) for address in (WAN4, WAN6)]
    cli("network", "connect", second, chosen)
    cli("network", "disconnect", first, chosen)
    assert [it and it.name for it in reach(questions)] == [chosen] * 2


# Firewalls of others


def test_the_administrator_refuses_a_port(apus, name, engine, world, servers):
    """In the chain `user` of the engine's table, which stays as it is over restarts of the daemon."""
    chosen, host = name(), world.host
    apus("run", "-d", "--name", chosen, "-p", "43500:7000", "-p", "43501:7000", IMAGE, "sleep", "1000")
    servers.add(engine.place(chosen), chosen, 7000)
    questions = [Question(place, "tcp", address, port) for port in (43500, 43501)
                 for place, address in ((world.outside, WAN4), (world.outside, WAN6), (world.peer, HOST["lan4"]))]
    assert all(reach(questions))
    host.run("nft", "add", "rule", "inet", table(engine), "user", "iifname", "wan0",
             "meta", "l4proto", "tcp", "ct", "original", "proto-dst", "43500", "drop")
    try:
        for _ in range(2):
            assert [bool(answer) for answer in ask(questions)] == [False, False, True, True, True, True]
            engine.kill()
            engine.start()
    finally:
        host.run("nft", "flush", "chain", "inet", table(engine), "user")
    assert all(reach(questions))


def test_a_firewall_of_the_host_refuses_them(apus, name, engine, world, servers):
    """As ufw and firewalld have it: a forward chain of their own that drops, but for what they allow."""
    chosen, host = name(), world.host
    apus("run", "-d", "--name", chosen, "-p", "43510:7000", "-p", "43511:7000", IMAGE, "sleep", "1000")
    servers.add(engine.place(chosen), chosen, 7000)
    outside = [Question(world.outside, "tcp", address, port) for port in (43510, 43511) for address in (WAN4, WAN6)]
    host.run("nft", "-f", "-", input="""
        table inet ufw {
          chain forward {
            type filter hook forward priority 10; policy drop
            ct state established,related accept
            meta l4proto tcp ct original proto-dst 43511 accept
          }
        }""")
    try:
        assert [bool(answer) for answer in ask(outside)] == [False, False, True, True]
        # The host itself is not forwarded.
        assert all(reach([Question(host, "tcp", address, 43510) for address in ("127.0.0.1", "::1", WAN4)]))
        before = host.out("nft", "list", "table", "inet", "ufw")
        apus("restart", "-t", "0", chosen)
        engine.kill()
        engine.start()
        assert host.out("nft", "list", "table", "inet", "ufw") == before
    finally:
        host.run("nft", "delete", "table", "inet", "ufw")
    servers.add(engine.place(chosen), chosen, 7000)
    assert all(reach(outside))


# What must be seen


@pytest.mark.slow
def test_a_stream_goes_on_when_the_daemon_is_killed(own_host_engine):
    engine, world = own_host_engine, own_host_engine.world
    engine.run_container("server", HostConfig={"PortBindings": {"5201/tcp": [{"HostPort": "43600"}]}})
    with iperf_server(engine.place("server"), 5201):
        client = world.outside.popen(
            "iperf3", "-J", "-c", WAN4, "-p", "43600", "-t", "4", "-i", "0.5", "-b", "500M", stdout=subprocess.PIPE)
        time.sleep(1)
        engine.kill()
        time.sleep(1)
        engine.start()
        output, _ = client.communicate(timeout=30)
        result = json.loads(output)
    assert "error" not in result, result["error"]
    rates = [interval["sum"]["bits_per_second"] / 1e6 for interval in result["intervals"]]
    assert len(rates) == 8 and min(rates) > 100, rates


@pytest.fixture(scope="module")
def nginx(engine):
    return images.load_debian(engine, "nginx:12", "debian-12-nginx", "nginx-light")


@pytest.mark.mirror
def test_nginx(apus, name, engine, world, nginx):
    """Debian's, in a container of Debian, asked with curl from everywhere."""
    chosen = name()
    apus("run", "-d", "--name", chosen, "-p", "8080:80", nginx, "nginx", "-g", "daemon off;")
    for address in ("127.0.0.1", "[::1]", WAN4, f"[{WAN6}]"):
        for place in (world.host, *([world.outside] if address in (WAN4, f"[{WAN6}]") else [])):
            page = place.out("curl", "-sSf", "--retry", "20", "--retry-connrefused", "--retry-delay", "1",
                             "--retry-max-time", "20", f"http://{address}:8080/")
            assert "Welcome to nginx!" in page
    log = apus.out("exec", chosen, "cat", "/var/log/nginx/access.log")
    assert OUTSIDE[4] in log and "curl/" in log


@pytest.mark.mirror
def test_replicas_share_the_requests(apus, name, engine, network, nginx):
    """Two behind one alias: a client that takes the first address it is given comes to both."""
    joined, client = network(), name("-client")
    names = [name(f"-{number}") for number in range(2)]
    for chosen in names:
        apus("run", "-d", "--name", chosen, "--network", joined, "--network-alias", "web", nginx, "sh", "-c",
             "hostname > /var/www/html/index.html; exec nginx -g 'daemon off;'")
    apus("run", "-d", "--name", client, "--network", joined, IMAGE, "sleep", "1000")
    place = engine.place(client)

    def get(host):
        with contextlib.suppress(ConnectionRefusedError), place.connect(lookup(place, host).values[0], 80) as connection:
            connection.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            return connection.makefile("rb").read().split()[-1].decode()
        return None

    engine.wait_for(lambda: all(get(chosen) for chosen in names), what="both to answer")
    answers = [get("web") for _ in range(40)]
    assert {answers.count(engine.inspect(chosen)["Id"][:12]) for chosen in names} == {20}


@pytest.mark.slow
def test_many_cycles_leave_nothing(own_host_engine):
    """Started and stopped with random ports on two networks, 8 at a time."""
    engine, host = own_host_engine, own_host_engine.host
    engine.make_network("mine")
    # What networks have from the first published port on is there.
    for chosen, joined in (("anchor1", "mine"), ("anchor2", "bridge")):
        engine.run_container(chosen, network=joined, HostConfig={"PortBindings": {"80/tcp": [{}]}})
    before = at_rest(engine)
    namespaces = namespaces_held(engine)
    descriptors = len(os.listdir(f"/proc/{engine.process.pid}/fd"))

    def cycle(number):
        chosen = f"c{number}"
        engine.run_container(chosen, network=random.choice([{"mine": {"Aliases": ["web"]}}, {"bridge": {}}]), HostConfig={
            "PortBindings": {"80/tcp": [{"HostPort": ""}], "80/udp": [{"HostPort": ""}],
                             "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}})
        assert len(engine.ports(chosen)) == 3
        assert engine.request("POST", f"/containers/{chosen}/stop?t=0").status == 204
        assert engine.request("DELETE", f"/containers/{chosen}").status == 204

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(cycle, range(CYCLES)))
    settled(engine, before)
    engine.wait_for(lambda: len(os.listdir(f"/proc/{engine.process.pid}/fd")) <= descriptors + 10,
                    what="descriptors to be closed")
    # What stands by for the next instance goes by itself.
    engine.wait_for(lambda: len(list((engine.run / "instances").iterdir())) <= 2, timeout=30, what="standby shims to go")
    engine.wait_for(lambda: namespaces_held(engine) <= namespaces, what="namespaces to be closed")
    engine.run_container("again", HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "43700"}]}})


def namespaces_held(engine):
    """Network namespaces of others that the daemon has open: those that no process is in any more would never go."""
    found = []
    for entry in os.scandir(f"/proc/{engine.process.pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(entry.path))
    own = os.readlink(f"/proc/{engine.process.pid}/ns/net")
    return sum(path.startswith("net:[") and path != own for path in found)
