"""Networks of instances: made, shown, joined, left and removed; addresses, routes and resolver files; and what goes wrong."""

import contextlib
import ipaddress
import json
import os
import re
import threading
import time

import pytest

import images
from engines import BINARIES, IMAGE, Client
from networks import at_rest, bridge, bridges, difference, identity, leases, settled, table, traces
from places import Question, Servers, ask, loopback_led_to, reach
from world import HOST, OUTSIDE, PEER, HostEngine, apus, docker, engine, name, network, own_host_engine, world  # noqa: F401

pytestmark = pytest.mark.apusd


def subnet(*subnets, **settings):
    """What the API wants to hear for subnets of choice: texts, or dictionaries with more about each."""
    config = [{"Subnet": it} if isinstance(it, str) else it for it in subnets]
    return {"IPAM": {"Config": config}, **settings}


def refused(result, *said):
    assert result.returncode != 0, result.stdout
    for text in said:
        assert text.lower() in result.stderr.lower(), result.stderr


@pytest.fixture
def servers():
    servers = Servers()
    yield servers
    servers.close()


# Create, list, inspect, remove


def test_a_networks_life(cli, network):
    chosen = network(create=False)
    identifier = cli.out(
        "network", "create", "--subnet", "10.201.0.0/24", "--gateway", "10.201.0.254", "--label", "a=b", chosen)
    assert re.fullmatch("[0-9a-f]{64}", identifier)
    assert cli.out("network", "ls", "--filter", f"name={chosen}", "--format", "{{.Name}} {{.Driver}} {{.Scope}}") == \
        f"{chosen} bridge local"
    assert cli.out("network", "ls", "-q", "--filter", "label=a=b") == identifier[:12]
    it = json.loads(cli.out("network", "inspect", chosen))[0]
    assert (it["Name"], it["Id"], it["Driver"], it["Scope"]) == (chosen, identifier, "bridge", "local")
    assert it["Labels"] == {"a": "b"} and not it["Internal"] and it["EnableIPv6"]
    assert it["IPAM"]["Config"][0] == {"Subnet": "10.201.0.0/24", "Gateway": "10.201.0.254"}
    # What nobody asked for is chosen: a subnet of the local addresses that are this engine's own.
    assert ipaddress.ip_network(it["IPAM"]["Config"][1]["Subnet"]).subnet_of(ipaddress.ip_network("fd00::/8"))
    assert cli.out("network", "inspect", "-f", "{{.Name}}", identifier[:9]) == chosen
    assert cli.out("network", "rm", chosen) == chosen
    refused(cli("network", "inspect", chosen, check=False), chosen, "not found")
    refused(cli("network", "rm", chosen, check=False), chosen, "not found")


def test_three_are_there_from_the_start(cli):
    rows = cli.out("network", "ls", "--format", "{{.Name}} {{.Driver}}").splitlines()
    assert {"bridge bridge", "host host", "none null"} <= set(rows)
    for predefined in ("bridge", "host", "none"):
        refused(cli("network", "rm", predefined, check=False), predefined)
        refused(cli("network", "create", predefined, check=False), predefined)


def test_prune_removes_what_nobody_uses(cli, network, name, engine):
    unused, used = network(Labels={"mark": "1"}), network(Labels={"mark": "1"})
    engine.create(name(), network=used)
    output = cli.out("network", "prune", "-f", "--filter", "label=mark=1")
    assert unused in output and used not in output
    assert engine.request("GET", f"/networks/{unused}").status == 404
    assert engine.request("GET", f"/networks/{used}").status == 200


def test_a_network_in_use_stays(cli, network, name, engine):
    used, chosen = network(), name()
    engine.run_container(chosen, network=used)
    refused(cli("network", "rm", used, check=False), used, "active endpoints", chosen)
    assert list(engine.network(used)["Containers"].values())[0]["Name"] == chosen
    cli("rm", "-f", chosen)
    cli("network", "rm", used)


def test_events(cli, network, name, engine):
    since = time.time()
    joined, chosen = network(create=False), name()
    identifier = cli.out("network", "create", joined)
    cli("run", "-d", "--name", chosen, "--network", joined, IMAGE, "sleep", "1000")
    cli("rm", "-f", chosen)
    cli("network", "rm", joined)
    output = cli.out(
        "events", "--since", f"{since:.3f}", "--until", f"{time.time() + 0.01:.3f}", "--filter", "type=network",
        "--filter", f"network={joined}", "--format", "{{json .}}")
    events = [json.loads(line) for line in output.splitlines()]
    assert [event["Action"] for event in events] == ["create", "connect", "disconnect", "destroy"]
    assert {event["Actor"]["ID"] for event in events} == {identifier}
    assert all(event["Actor"]["Attributes"]["name"] == joined for event in events)


# Addresses


def test_the_default_network(cli, name, engine, world):
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "sleep", "1000")
    it, place, shown = engine.endpoint(chosen), engine.place(chosen), engine.network("bridge")
    assert place.addresses("eth0") == [f"{it['IPAddress']}/{it['IPPrefixLen']}",
                                       f"{it['GlobalIPv6Address']}/{it['GlobalIPv6PrefixLen']}"]
    assert place.links()["eth0"]["address"] == it["MacAddress"]
    assert place.links()["eth0"]["operstate"] == "UP"
    assert it["NetworkID"] == shown["Id"] and len(it["EndpointID"]) == 64
    for version, gateway in (("-4", it["Gateway"]), ("-6", it["IPv6Gateway"])):
        routes = json.loads(place.out("ip", "-j", version, "route"))
        assert [route["gateway"] for route in routes if route["dst"] == "default"] == [gateway]
        assert gateway in [address.split("/")[0] for address in world.host.addresses(bridge(engine))]
    listed = list(shown["Containers"].values())
    assert [(c["Name"], c["IPv4Address"], c["EndpointID"]) for c in listed if c["Name"] == chosen] == \
        [(chosen, f"{it['IPAddress']}/16", it["EndpointID"])]
    settings = engine.inspect(chosen)["NetworkSettings"]
    assert (settings["IPAddress"], settings["Gateway"]) == (it["IPAddress"], it["Gateway"])
    cli("stop", "-t", "0", chosen)
    assert engine.endpoint(chosen)["IPAddress"] == ""


def test_no_two_have_the_same_address(engine, name):
    names = [name(f"-{number}") for number in range(20)]
    threads = [threading.Thread(target=engine.run_container, args=(chosen,)) for chosen in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    endpoints = [engine.endpoint(chosen) for chosen in names]
    for key in ("IPAddress", "GlobalIPv6Address", "MacAddress", "EndpointID"):
        assert len({it[key] for it in endpoints}) == len(names)


def test_addresses_of_choice(cli, network, name, engine):
    joined = network(**subnet("10.202.0.0/24", "fd12:202::/64"))
    chosen, other = name(), name()
    cli("run", "-d", "--name", chosen, "--network", joined, "--ip", "10.202.0.77", "--ip6", "fd12:202::77",
        "--mac-address", "02:42:aa:bb:cc:dd", IMAGE, "sleep", "1000")
    place = engine.place(chosen)
    assert place.addresses() == ["10.202.0.77/24", "fd12:202::77/64"]
    assert place.links()["eth0"]["address"] == "02:42:aa:bb:cc:dd"
    run = ["run", "--rm", "--name", other, "--network", joined]
    refused(cli(*run, "--ip", "10.202.0.77", IMAGE, "true", check=False), "10.202.0.77", "in use")
    refused(cli(*run, "--ip", "10.203.0.77", IMAGE, "true", check=False), "10.203.0.77")
    refused(cli(*run, "--ip", "10.202.0.1", IMAGE, "true", check=False), "10.202.0.1")
    refused(cli("run", "--rm", "--ip", "172.17.0.99", IMAGE, "true", check=False), "user", "network")
    # The next in turn, which what stands by for the next instance may have.
    for last in range(2, 9):
        cli("run", "--rm", "--network", joined, "--ip", f"10.202.0.{last}", IMAGE, "true")
    # It is the same after a restart, and free when nobody has it.
    cli("restart", "-t", "0", chosen)
    assert engine.place(chosen).addresses() == ["10.202.0.77/24", "fd12:202::77/64"]
    cli("rm", "-f", chosen)
    cli(*run, "--ip", "10.202.0.77", IMAGE, "true")


def test_an_address_that_another_one_had(network, name, engine, servers, world):
    """Who has talked to the last holder of an address reaches the next one at once: nobody remembers its MAC address."""
    joined, neighbour = network(**subnet("10.216.0.0/24", "fd12:216::/64")), name("-n")
    engine.run_container(neighbour, network=joined)
    for number in range(3):
        chosen = name()
        engine.run_container(
            chosen, network={joined: {"IPAMConfig": {"IPv4Address": "10.216.0.77", "IPv6Address": "fd12:216::77"}}},
            HostConfig={"PortBindings": {"7000/tcp": [{"HostPort": "41010"}]}})
        servers.add(engine.place(chosen), chosen, 7000)
        questions = [Question(place, "tcp", address, port) for place, address, port in (
            (world.host, "127.0.0.1", 41010), (world.host, "::1", 41010), (world.outside, HOST["wan4"], 41010),
            (world.outside, HOST["wan6"], 41010), (engine.place(neighbour), "10.216.0.77", 7000),
            (engine.place(neighbour), "fd12:216::77", 7000))]
        assert [answer and answer.name for answer in ask(questions)] == [chosen] * 6, number
        engine.forget(chosen)
        engine.request("DELETE", f"/containers/{chosen}?force=1")


def test_a_range_and_what_belongs_to_others(network, name, engine):
    joined = network(**subnet(
        {"Subnet": "10.204.0.0/24", "IPRange": "10.204.0.128/29", "Gateway": "10.204.0.1",
         "AuxiliaryAddresses": {"printer": "10.204.0.130", "router": "10.204.0.129"}}, EnableIPv6=False))
    found = set()
    for _ in range(6):
        chosen = name()
        engine.run_container(chosen, network=joined)
        found.add(engine.endpoint(chosen)["IPAddress"])
    assert found == {f"10.204.0.{last}" for last in (128, 131, 132, 133, 134, 135)}
    engine.create(chosen := name(), network=joined)
    answer = engine.request("POST", f"/containers/{chosen}/start")
    assert answer.status in (409, 500, 503) and joined in answer.message, answer.message


def test_an_exhausted_pool_says_so(cli, network, name, engine):
    joined = network(**subnet("10.205.0.0/29", EnableIPv6=False))
    names = [name() for _ in range(6)]
    for chosen in names[:5]:
        engine.run_container(chosen, network=joined)
    result = cli("run", "-d", "--name", names[5], "--network", joined, IMAGE, "sleep", "1000", check=False)
    refused(result, joined, "no available ipv4 addresses")
    cli("stop", "-t", "0", names[2])
    cli("start", names[5])
    assert len(engine.network(joined)["Containers"]) == 5


def test_subnets_do_not_overlap(cli, network):
    first = network(**subnet("10.206.0.0/16"))
    refused(cli("network", "create", "--subnet", "10.206.4.0/24", network(create=False), check=False),
            "overlaps", "10.206.0.0/16", first)
    # What the host has a route for is nobody else's.
    refused(cli("network", "create", "--subnet", "198.51.100.128/25", network(create=False), check=False),
            "198.51.100.")


def test_only_one_family(network, name, engine, servers, world):
    """Networks without IPv6 and without IPv4: no address, no route, no published port of the other family."""
    for settings, address, absent in (
            ({"EnableIPv6": False}, HOST["wan4"], HOST["wan6"]),
            ({"EnableIPv4": False, "EnableIPv6": True}, HOST["wan6"], HOST["wan4"])):
        joined, chosen = network(**settings), name()
        engine.run_container(
            chosen, network=joined, HostConfig={"PortBindings": {"7000/tcp": [{"HostPort": "41000"}]}})
        place, it = engine.place(chosen), engine.endpoint(chosen)
        servers.add(place, chosen, 7000)
        found = place.addresses()
        assert len(found) == 1 and (":" in found[0]) == (":" in address)
        assert bool(it["IPAddress"]) != bool(it["GlobalIPv6Address"])
        outside = [Question(world.outside, "tcp", it, 41000) for it in (address, absent)]
        assert [answer and answer.name for answer in ask(outside)] == [chosen, None]
        engine.forget(chosen)
        engine.request("DELETE", f"/containers/{chosen}?force=1")


# Several networks


def default_routes(place):
    found = []
    for version in ("-4", "-6"):
        routes = json.loads(place.out("ip", "-j", version, "route"))
        found += [route["dev"] for route in routes if route["dst"] == "default"]
    return found


def test_connect_and_disconnect_while_running(cli, network, name, engine, servers):
    first, second, chosen, neighbour = network(), network(), name(), name()
    engine.run_container(chosen, network=first)
    engine.run_container(neighbour, network=second)
    place, address = engine.place(chosen), engine.endpoint(neighbour)["IPAddress"]
    servers.add(engine.place(neighbour), neighbour, 7000)
    question = [Question(place, "tcp", address, 7000)]
    assert ask(question) == [None]
    cli("network", "connect", "--alias", "again", second, chosen)
    assert sorted(place.links()) == ["eth0", "eth1"] and default_routes(place) == ["eth0", "eth0"]
    assert reach(question)[0].name == neighbour
    assert "again" in engine.endpoint(chosen, second)["Aliases"]
    hosts = cli.out("exec", chosen, "cat", "/etc/hosts")
    assert engine.endpoint(chosen, second)["IPAddress"] in hosts
    refused(cli("network", "connect", second, chosen, check=False), chosen, "already")
    # Without its first network, the second one is its way out.
    cli("network", "disconnect", first, chosen)
    assert sorted(place.links()) == ["eth1"] and default_routes(place) == ["eth1", "eth1"]
    assert list(engine.inspect(chosen)["NetworkSettings"]["Networks"]) == [second]
    assert reach(question)[0].name == neighbour
    refused(cli("network", "disconnect", first, chosen, check=False), "not connected")
    cli("network", "disconnect", "-f", second, chosen)
    assert not place.links()
    cli("network", "connect", first, chosen)
    assert default_routes(place) == ["eth0", "eth0"]
    # Where it is stays so over a restart.
    cli("restart", "-t", "0", chosen)
    assert list(engine.inspect(chosen)["NetworkSettings"]["Networks"]) == [first]


def test_connect_before_the_start(cli, network, name, engine):
    first, second, chosen = network(), network(**subnet("10.207.0.0/24")), name()
    cli("create", "--name", chosen, "--network", first, IMAGE, "sleep", "1000")
    cli("network", "connect", "--ip", "10.207.0.9", second, chosen)
    cli("start", chosen)
    assert engine.endpoint(chosen, second)["IPAddress"] == "10.207.0.9"
    assert len(engine.place(chosen).links()) == 2


def test_the_default_route_is_the_one_with_priority(cli, network, name, engine):
    first, second, closed, chosen = network(), network(), network(Internal=True), name()
    cli("run", "-d", "--name", chosen, "--network", closed, "--network", first,
        "--network", f"name={second},gw-priority=5", IMAGE, "sleep", "1000")
    place = engine.place(chosen)
    way = {name: it["IPAddress"] for name, it in engine.inspect(chosen)["NetworkSettings"]["Networks"].items()}
    interface = next(link for link in place.links() if f"{way[second]}/" in " ".join(place.addresses(link)))
    assert default_routes(place) == [interface] * 2
    # The next one takes over when it goes; an internal network never does.
    cli("network", "disconnect", second, chosen)
    interface = next(link for link in place.links() if f"{way[first]}/" in " ".join(place.addresses(link)))
    assert default_routes(place) == [interface] * 2
    cli("network", "disconnect", first, chosen)
    assert default_routes(place) == []


def test_interfaces_as_they_are_asked_for(cli, network, name, engine, world):
    joined, chosen = network(create=False), name()
    cli("network", "create", "--opt", "com.docker.network.driver.mtu=1400",
        "--opt", "com.docker.network.bridge.name=br-mine", joined)
    cli("run", "-d", "--name", chosen,
        "--network", f"name={joined},driver-opt=com.docker.network.endpoint.ifname=lan9", IMAGE, "sleep", "1000")
    assert engine.place(chosen).links()["lan9"]["mtu"] == 1400
    assert world.host.links()["br-mine"]["mtu"] == 1400
    cli("rm", "-f", chosen)
    cli("network", "rm", joined)
    assert "br-mine" not in world.host.links()


@pytest.mark.slow
@pytest.mark.parametrize("option, reverse", [("apus.rate.egress", False), ("apus.rate.ingress", True)])
def test_rates_are_limited(cli, network, name, engine, world, option, reverse):
    joined, chosen = network(), name()
    cli("run", "-d", "--name", chosen, "--network", f"name={joined},driver-opt={option}=20mbit", IMAGE, "sleep", "1000")
    place = engine.place(chosen)
    with iperf_server(world.outside, 5201):
        result = json.loads(place.out(
            "iperf3", "-J", "-c", OUTSIDE[4], "-t", "3", "-O", "1", *(["-R"] if reverse else [])))
        rate = result["end"]["sum_received"]["bits_per_second"] / 1e6
        assert 16 < rate < 24, rate
        # The other way is free.
        result = json.loads(place.out("iperf3", "-J", "-c", OUTSIDE[4], "-t", "1", *([] if reverse else ["-R"])))
        assert result["end"]["sum_received"]["bits_per_second"] > 60e6


@contextlib.contextmanager
def iperf_server(place, port):
    server = place.popen("iperf3", "-s", "-p", str(port), stdout=-3, stderr=-3)
    try:
        deadline = time.monotonic() + 10
        while f":{port} " not in place.out("ss", "-Htln"):
            assert time.monotonic() < deadline and server.poll() is None
            time.sleep(0.01)
        yield
    finally:
        server.kill()
        server.wait()


def test_the_hosts_loopback_is_the_hosts(network, name, engine, servers, world):
    """An instance that sends packets for 127.0.0.1 to the host reaches nothing that listens there only."""
    chosen, host = name(), world.host
    engine.run_container(chosen, network=network(), HostConfig={"PortBindings": {"80/tcp": [{}]}})
    place, it = engine.place(chosen), engine.endpoint(chosen)
    servers.add(host, "host", 7003)
    questions = [Question(place, "udp", "127.0.0.1", 7003)]
    with loopback_led_to(place, it["Gateway"]):
        ask(questions, 0.5)
        assert servers.heard == []
        host.run("nft", "insert", "rule", "inet", table(engine), "loopback", "ip", "daddr", "127.0.0.0/8", "accept")
        ask(questions, 0.5)
        assert servers.heard == [("host", it["IPAddress"])]
    engine.kill()
    engine.start()


# Files


def test_resolver_files(cli, network, name, engine):
    joined, chosen = network(EnableIPv6=True), name()
    cli("run", "-d", "--name", chosen, "--hostname", "box", "--domainname", "example.org", "--network", joined,
        "--dns", "192.0.2.53", "--dns-search", "one.example", "--dns-search", "two.example", "--dns-option", "ndots:3",
        "--add-host", "db:10.1.2.3", "--add-host", "gate:host-gateway", IMAGE, "sleep", "1000")

    def read(file):
        return cli.out("exec", chosen, "cat", file).splitlines()

    def check():
        it = engine.endpoint(chosen, joined)
        hosts = [line.split() for line in read("/etc/hosts")]
        assert ["127.0.0.1", "localhost"] in hosts and ["10.1.2.3", "db"] in hosts
        assert [it["IPAddress"], "box.example.org", "box"] in hosts
        assert [it["GlobalIPv6Address"], "box.example.org", "box"] in hosts
        assert [it["Gateway"], "gate"] in hosts
        assert read("/etc/hostname") == ["box"]
        # Names come from the engine, which asks the servers that were named.
        resolver = [line for line in read("/etc/resolv.conf") if line and not line.startswith("#")]
        assert sorted(resolver) == ["nameserver 127.0.0.11", "options ndots:3", "search one.example two.example"]

    check()
    other = network()
    cli("network", "connect", other, chosen)
    check()
    lines = read("/etc/hosts")
    assert any(line.startswith(engine.endpoint(chosen, other)["IPAddress"] + "\t") for line in lines), lines
    address = engine.endpoint(chosen, other)["IPAddress"]
    cli("network", "disconnect", other, chosen)
    assert address not in "\n".join(read("/etc/hosts"))
    check()
    cli("restart", "-t", "0", chosen)
    check()


def test_the_hosts_resolver_on_the_default_network(cli, engine):
    """As the host has it, without what is the host's own: there is nobody at an instance's 127.0.0.53."""
    output = cli.out("run", "--rm", "--dns", "192.0.2.53", "--dns-search", "example.org", IMAGE, "cat", "/etc/resolv.conf")
    lines = [line for line in output.splitlines() if line and not line.startswith("#")]
    assert sorted(lines) == ["nameserver 192.0.2.53", "search example.org"]
    output = cli.out("run", "--rm", IMAGE, "cat", "/etc/resolv.conf")
    servers = re.findall(r"^nameserver (\S+)", output, re.MULTILINE)
    assert servers and not any(it.startswith("127.") or it == "::1" for it in servers)


def test_what_a_user_wrote_stays(cli, network, name):
    """Files that a process has changed are not overwritten by a network that comes or goes."""
    chosen = name()
    cli("run", "-d", "--name", chosen, "--network", network(), IMAGE, "sleep", "1000")
    cli("exec", chosen, "sh", "-c", "echo nameserver 192.0.2.1 > /etc/resolv.conf; echo 10.9.9.9 mine >> /etc/hosts")
    other = network()
    cli("network", "connect", other, chosen)
    assert cli.out("exec", chosen, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.1"
    assert "10.9.9.9 mine" in cli.out("exec", chosen, "cat", "/etc/hosts")


# Joined namespaces


def test_in_another_instances_network(cli, network, name, engine):
    first, second = name(), name()
    cli("run", "-d", "--name", first, "--hostname", "owner", "--network", network(), "--add-host", "db:10.1.2.3", IMAGE,
        "sleep", "1000")
    cli("run", "-d", "--name", second, "--network", f"container:{first}", IMAGE, "sleep", "1000")
    namespaces = {os.readlink(f"/proc/{engine.inspect(it)['State']['Pid']}/ns/net") for it in (first, second)}
    assert len(namespaces) == 1
    assert cli.out("exec", second, "hostname") == "owner"
    assert "10.1.2.3" in cli.out("exec", second, "cat", "/etc/hosts")
    assert "127.0.0.11" in cli.out("exec", second, "cat", "/etc/resolv.conf")
    refused(cli("network", "connect", network(), second, check=False), "container")
    # What it had is free when it stops, though its namespace is still in use.
    address = engine.endpoint(first)["IPAddress"]
    assert address in " ".join(engine.place(second).addresses())
    cli("stop", "-t", "0", first)
    refused(cli("run", "--rm", "--network", f"container:{first}", IMAGE, "true", check=False),
            engine.inspect(first)["Id"], "non running")
    engine.wait_for(lambda: not engine.place(second).addresses(), what="the address to go")


# Macvlan


def test_macvlan(cli, network, name, engine, world):
    joined, chosen = network(create=False), name()
    cli("network", "create", "-d", "macvlan", "--subnet", "203.0.113.0/24", "--gateway", PEER[4],
        "--ip-range", "203.0.113.64/26", "--opt", "parent=lan0", joined)
    cli("run", "-d", "--name", chosen, "--network", joined, IMAGE, "sleep", "1000")
    link = engine.place(chosen).links()["eth0"]
    assert link["linkinfo"]["info_kind"] == "macvlan" and link["linkinfo"]["info_data"]["mode"] == "bridge"
    assert engine.endpoint(chosen)["IPAddress"].startswith("203.0.113.")
    refused(cli("network", "create", "-d", "macvlan", "--opt", "parent=nothere0", "--subnet", "10.208.0.0/24",
                network(create=False), check=False), "nothere0")
    cli("rm", "-f", chosen)
    cli("network", "rm", joined)
    # The interface of the host is not the engine's to remove.
    assert "lan0" in world.host.links()


# What cannot be


@pytest.mark.parametrize("words, said", [
    (["--subnet", "10.209.0.0/33"], "10.209.0.0/33"),
    (["--subnet", "nonsense"], "nonsense"),
    (["--subnet", "127.0.0.0/16"], "127.0.0.0/16"),
    (["--subnet", "224.0.0.0/16"], "224.0.0.0/16"),
    (["--subnet", "10.209.0.0/24", "--gateway", "10.210.0.1"], "10.210.0.1"),
    (["--subnet", "10.209.0.0/24", "--ip-range", "10.210.0.0/25"], "10.210.0.0/25"),
    (["--subnet", "10.209.0.0/24", "--aux-address", "x=10.210.0.7"], "10.210.0.7"),
    (["--subnet", "10.209.0.0/24", "--subnet", "10.210.0.0/24"], "subnet"),
    (["--driver", "nosuchdriver"], "nosuchdriver"),
    (["--driver", "overlay"], "swarm"),
    (["--driver", "macvlan"], "parent"),
    (["--ipam-driver", "nosuchdriver"], "nosuchdriver"),
    (["--opt", "com.docker.network.driver.mtu=tiny"], "tiny"),
    (["--opt", "com.docker.network.driver.mtu=99999999"], "99999999"),
    (["--opt", "com.docker.network.bridge.name=way-too-long-a-name"], "way-too-long-a-name"),
    (["--opt", "com.docker.network.bridge.name=a/b"], "a/b"),
    (["--opt", "com.docker.network.bridge.enable_icc=perhaps"], "perhaps"),
])
def test_networks_that_cannot_be(cli, network, engine, words, said):
    chosen = network(create=False)
    refused(cli("network", "create", *words, chosen, check=False), said)
    assert engine.request("GET", f"/networks/{chosen}").status == 404


def test_names_of_networks(cli, network, engine):
    existing = network()
    refused(cli("network", "create", existing, check=False), existing, "already exists")
    for wrong in ("", " ", "a/b", "-x", "x" * 300, "a\n", "container:x"):
        answer = engine.request("POST", "/networks/create", {"Name": wrong})
        assert answer.status == 400 and answer.message, wrong


@pytest.mark.parametrize("words, said", [
    (["--network", "nosuchnetwork"], ["nosuchnetwork", "not found"]),
    (["--network", "host", "--network", "bridge"], ["host"]),
    (["--network", "none", "--network", "bridge"], ["none"]),
    (["--network", "JOINED", "--ip", "10.999.0.1"], ["10.999.0.1"]),
    (["--network", "JOINED", "--mac-address", "nonsense"], ["nonsense"]),
    (["--network", "name=JOINED,driver-opt=apus.rate.egress=quick"], ["quick"]),
    (["--network", "JOINED", "--dns", "nonsense"], ["nonsense"]),
    (["--network", "JOINED", "--add-host", "x:nonsense"], ["nonsense"]),
    (["--link", "nosuchcontainer"], ["nosuchcontainer"]),
    (["--network", "container:SELF"], ["own"]),
])
def test_instances_that_cannot_be(cli, network, name, engine, words, said):
    joined, chosen = network(), name()
    words = [word.replace("JOINED", joined).replace("SELF", chosen) for word in words]
    before = len(engine.request("GET", "/containers/json?all=1").json)
    refused(cli("run", "--rm", "--name", chosen, *words, IMAGE, "true", check=False),
            *[text.replace("SELF", chosen) for text in said])
    engine.wait_for(lambda: len(engine.request("GET", "/containers/json?all=1").json) == before)
    assert not engine.network(joined)["Containers"]


def test_status_of_the_api(network, engine, name):
    joined, chosen = network(), name()
    engine.run_container(chosen, network=joined)
    request = engine.request
    assert request("GET", "/networks/nosuch").status == 404
    assert request("DELETE", "/networks/nosuch").status == 404
    assert request("DELETE", "/networks/bridge").status == 403
    assert request("DELETE", f"/networks/{joined}").status == 403
    assert request("POST", "/networks/create", {"Name": joined}).status == 409
    assert request("POST", "/networks/create", {"Name": "x", "Driver": "nosuch"}).status == 404
    assert request("POST", "/networks/nosuch/connect", {"Container": chosen}).status == 404
    assert request("POST", f"/networks/{joined}/connect", {"Container": "nosuch"}).status == 404
    assert request("POST", f"/networks/{joined}/connect", {"Container": chosen}).status == 403
    assert request("POST", "/networks/bridge/disconnect", {"Container": chosen}).status in (403, 404, 409)
    for body in (b"{", b"[]", b"null", b'{"Name": 5}', b'{"Name":"x","IPAM":{"Config":"x"}}', b'{"Name":"x","Options":3}'):
        assert request("POST", "/networks/create", body, {"Content-Type": "application/json"}).status == 400, body


# What lasts


def test_nothing_is_left(network, name, engine, world):
    """As many interfaces, addresses, neighbours, routes, firewall elements and leases after as before."""
    anchor = name()
    engine.run_container(anchor)
    before = at_rest(engine)
    joined = network(**subnet("10.211.0.0/24"))
    names = [name(f"-{number}") for number in range(4)]
    for number, chosen in enumerate(names):
        engine.run_container(
            chosen, network={joined: {"Aliases": ["one"]}, "bridge": {}}, HostConfig={"NetworkMode": joined,
                "PortBindings": {"80/tcp": [{"HostPort": ""}], "80/udp": [{"HostPort": ""}]}})
    assert len(leases(engine)) == len(before["leases"]) + 4
    assert difference(before, traces(engine))
    for chosen in names:
        engine.request("DELETE", f"/containers/{chosen}?force=1")
    engine.request("DELETE", f"/networks/{joined}")
    settled(engine, before)


def test_killed_starts_leave_nothing(network, name, engine):
    """Instances that cannot start give back what they had of the network."""
    joined = network(**subnet("10.212.0.0/29", EnableIPv6=False))
    anchor = name()
    engine.run_container(anchor, network=joined)
    before = at_rest(engine)
    for _ in range(10):
        chosen = name()
        engine.create(chosen, "no-such-program", network=joined, HostConfig={"PortBindings": {"80/tcp": [{}]}})
        assert engine.request("POST", f"/containers/{chosen}/start").status in (400, 404)
    settled(engine, before)


def test_the_daemons_death_changes_nothing(own_host_engine):
    """Killed and started again: addresses, ports, names and connections are as they were, and can be changed."""
    engine, host = own_host_engine, own_host_engine.host
    client = Client(engine, BINARIES / "apus")
    servers = Servers()
    try:
        engine.make_network("mine", **subnet("10.213.0.0/24"))
        for number in range(3):
            engine.run_container(f"c{number}", network="mine", HostConfig={
                "PortBindings": {"7000/tcp": [{"HostPort": f"4200{number}"}], "7000/udp": [{"HostPort": f"4200{number}"}]}})
            servers.add(engine.place(f"c{number}"), f"c{number}", 7000)
        questions = [
            Question(place, protocol, address, 42000 + number) for number in range(3) for protocol in ("tcp", "udp")
            for place, address in ((host, "127.0.0.1"), (host, "::1"), (engine.world.outside, HOST["wan4"]),
                                   (engine.world.peer, HOST["wan6"]))]
        before, seen = at_rest(engine), [engine.inspect(f"c{number}")["NetworkSettings"] for number in range(3)]
        answers = reach(questions)
        assert all(answers)
        engine.kill()
        assert reach(questions) == answers
        engine.start()
        settled(engine, before)
        assert [engine.inspect(f"c{number}")["NetworkSettings"] for number in range(3)] == seen
        assert reach(questions) == answers
        # An address that is leased is not leased again, and one that is given back is.
        assert engine.request("POST", "/containers/create?name=other", {
            "Image": IMAGE, "NetworkingConfig": {"EndpointsConfig": {
                "mine": {"IPAMConfig": {"IPv4Address": seen[1]["Networks"]["mine"]["IPAddress"]}}}}}).status == 201
        assert engine.request("POST", "/containers/other/start").status >= 400
        client("rm", "-f", "c1", "other")
        assert not any(answer for question, answer in zip(questions, ask(questions)) if question.port == 42001)
        client("rm", "-f", "c0", "c2")
        client("network", "rm", "mine")
    finally:
        servers.close()


def test_instances_that_ended_meanwhile_are_cleaned_up(own_host_engine):
    engine, host = own_host_engine, own_host_engine.host
    engine.run_container("anchor", HostConfig={"PortBindings": {"80/tcp": [{}]}})
    before = at_rest(engine)
    engine.run_container("gone", HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "42010"}]}})
    pid = engine.inspect("gone")["State"]["Pid"]
    engine.kill()
    os.kill(pid, 9)
    engine.start()
    settled(engine, before)
    engine.request("DELETE", "/containers/gone")


def test_what_is_lost_is_made_again(own_host_engine):
    """Bridges and the firewall's table removed by hand, under running instances: a daemon that starts repairs them."""
    engine, host = own_host_engine, own_host_engine.host
    servers = Servers()
    try:
        engine.make_network("mine")
        engine.run_container("one", HostConfig={"PortBindings": {"7000/tcp": [{"HostPort": "42020"}]}})
        engine.run_container("two", network="mine", HostConfig={"PortBindings": {"7000/tcp": [{"HostPort": "42021"}]}})
        for name in ("one", "two"):
            servers.add(engine.place(name), name, 7000)
        questions = [Question(engine.world.outside, "tcp", HOST[f"wan{version}"], port)
                     for version in (4, 6) for port in (42020, 42021)]
        assert all(reach(questions))
        assert len(bridges(engine)) == 2
        engine.kill()
        for interface in bridges(engine):
            host.run("ip", "link", "delete", interface)
        host.run("nft", "delete", "table", "inet", table(engine))
        assert not any(ask(questions))
        engine.start()
        assert [answer and answer.name for answer in reach(questions)] == ["one", "two"] * 2
    finally:
        servers.close()


def test_nothing_is_made_before_it_is_used_or_kept_after(own_host_engine):
    engine, host = own_host_engine, own_host_engine.host
    client = Client(engine, BINARIES / "apus")
    cables = {"wan0", "lan0"}

    def interfaces():
        """But for the ends of instances, and of sandboxes that stand by for the next."""
        return {name for name in host.links() if not name.startswith("av")}

    assert interfaces() == cables and host.tables() == []
    client("run", "--rm", "--network", "none", IMAGE, "true")
    client("run", "--rm", "--network", "host", IMAGE, "true")
    client("network", "create", "later")
    assert interfaces() == cables and host.tables() == []
    assert host.get("net.ipv4.ip_forward") == "0"
    client("run", "--rm", IMAGE, "true")
    own, rules = bridge(engine), [f"inet {table(engine)}"]
    assert interfaces() == cables | {own} and host.tables() == rules
    assert host.get("net.ipv4.ip_forward") == "1"
    assert "ip_forward" in engine.log.read_text()
    client("run", "--rm", "--network", "later", IMAGE, "true")
    assert len(interfaces()) == 4
    # With nothing running, the host is as it was, but for forwarding: others may have come to count on it.
    engine.terminate()
    assert interfaces() == cables and host.tables() == []
    engine.start()
    client("run", "-d", "--name", "stays", IMAGE, "sleep", "1000")
    engine.terminate()
    assert own in interfaces() and host.tables() == rules
    engine.start()
    client("rm", "-f", "stays")


def test_two_engines_on_one_host(own_host_engine):
    """Each has a bridge, subnets and a table of its own, and touches nothing of the other's."""
    first, second = own_host_engine, HostEngine(own_host_engine.world)
    images.load(second.start())
    try:
        host = first.host
        for engine in (first, second):
            engine.run_container("one")
        names, rules = [bridge(it) for it in (first, second)], [f"inet {table(it)}" for it in (first, second)]
        assert len(set(names)) == 2 and set(names) <= set(host.links()) and sorted(rules) == sorted(host.tables())
        assert [host.links()[name]["ifalias"] for name in names] == [f"apus {identity(it)}" for it in (first, second)]
        subnets = [pool["Subnet"] for engine in (first, second) for pool in engine.network("bridge")["IPAM"]["Config"]]
        assert len(set(subnets)) == 4
        second.kill()
        first.request("DELETE", "/containers/one?force=1")
        first.terminate()
        assert names[0] not in host.links() and names[1] in host.links() and host.tables() == rules[1:]
        first.start()
        second.start()
    finally:
        second.close()
