"""Who reaches whom: every kind of network, IPv4 and IPv6, TCP and UDP, from everywhere to everything.

Each instance has a server of its own, which says its name and the address that it was asked from.
"""

import functools
import itertools

import pytest

from networks import table
from places import Question, Servers, ask, reach
from world import HOST, OUTSIDE, PEER, engine, world  # noqa: F401

pytestmark = pytest.mark.apusd

#: Where every instance's server is, and on the host where those of its own and of the machines outside are.
INSIDE, OUT = 7000, 7001

NETWORKS = {
    "bridge": None,  # The default one.
    "user": {},
    "other": {},
    "closed": {"Internal": True},
    "quiet": {"Options": {"com.docker.network.bridge.enable_icc": "false"}},
    "wire": {
        "Driver": "macvlan", "Options": {"parent": "lan0"}, "EnableIPv6": True,
        "IPAM": {"Config": [
            {"Subnet": "203.0.113.0/24", "Gateway": PEER[4], "IPRange": "203.0.113.128/25"},
            {"Subnet": "2001:db8:2::/64", "Gateway": PEER[6], "IPRange": "2001:db8:2::8000/113"}]}},
}

# To an instance of the network on the left, from the one who is named next to it:
#   address    at the address that the instance has in its network
#   host       at its published port, by the host's address on the wire
#   loopback   at its published port, by 127.0.0.1 and ::1; from elsewhere these are another machine's
#   gateway    at its published port, by the host's address on the instance's bridge
# "outside" and "peer" are machines beyond the host; both send what is for the instances' subnets to the host. "another"
# stands for an instance of each other bridge that is not internal, "closed" for one of the internal. A dash: there is
# no such thing. In brackets: not over IPv4 where the host filters bridges (br_netfilter), which translates the address
# before the packet leaves the bridge, and so keeps it between ports that are kept apart.
TABLE = """
network  from      address  host  loopback  gateway

bridge   host      yes      yes   yes       yes
bridge   outside   no       yes   -         yes
bridge   peer      no       yes   -         yes
bridge   itself    yes      yes   -         yes
bridge   same      yes      yes   -         yes
bridge   another   no       yes   -         yes
bridge   closed    no       no    -         no

user     host      yes      yes   yes       yes
user     outside   no       yes   -         yes
user     peer      no       yes   -         yes
user     itself    yes      yes   -         yes
user     same      yes      yes   -         yes
user     another   no       yes   -         yes
user     closed    no       no    -         no

quiet    host      yes      yes   yes       yes
quiet    outside   no       yes   -         yes
quiet    peer      no       yes   -         yes
quiet    itself    yes      (yes) -         (yes)
quiet    same      no       (yes) -         (yes)
quiet    another   no       yes   -         yes
quiet    closed    no       no    -         no

closed   host      yes      no    no        no
closed   outside   no       no    -         no
closed   peer      no       no    -         no
closed   itself    yes      no    -         no
closed   same      yes      no    -         no
closed   another   no       no    -         no

wire     host      no       no    no        -
wire     outside   no       no    -         -
wire     peer      yes      no    -         -
wire     itself    yes      no    -         -
wire     same      yes      no    -         -
wire     another   no       no    -         -
"""

# From an instance to what is not one: the machine outside, the peer on macvlan's wire, the host by its address on the
# wire and by its address on the instance's bridge; and as whom outside and the peer see it.
OUTGOING = """
network  outside  peer  host  gateway  seen-as

bridge   yes      yes   yes   yes      host
user     yes      yes   yes   yes      host
quiet    yes      yes   yes   yes      host
closed   no       no    no    yes      -
wire     no       yes   no    -        itself
"""

FAMILIES = {4: "127.0.0.1", 6: "::1"}


def rows(text):
    head, *lines = [line.split() for line in text.strip().splitlines() if line.strip()]
    return [dict(zip(head, line)) for line in lines]


def published(number):
    """The port of the host for the instance with this number."""
    return 40000 + number


class Matrix:
    """Two instances in each network, one more that is in another's, one on the host, one alone; servers everywhere."""

    def __init__(self, engine):
        self.engine, self.world, self.servers = engine, engine.world, Servers()
        self.names = []
        for network, settings in NETWORKS.items():
            if settings is not None:
                engine.make_network(network, **settings)
        self.port = {}
        for number, (network, who) in enumerate(itertools.product(NETWORKS, (1, 2))):
            name = f"{network}{who}"
            self.port[name] = published(number)
            ports = {} if network == "wire" else {
                f"{INSIDE}/{protocol}": [{"HostPort": str(published(number))}] for protocol in ("tcp", "udp")}
            self._run(name, network, ports)
        self._run("joined", f"container:{self.engine.inspect('user1')['Id']}")
        self._run("alone", "none")
        self._run("hosted", "host")
        for name in self.names:
            if name not in ("joined", "hosted"):
                self.servers.add(engine.place(name), name, INSIDE)
        # In the namespaces that they are said to share.
        self.servers.add(engine.place("joined"), "joined", INSIDE + 2)
        self.servers.add(engine.place("hosted"), "hosted", INSIDE)
        for machine in (self.world.host, self.world.outside, self.world.peer):
            self.servers.add(machine, machine.name, OUT)
        self.owner = {
            address: f"{network}1" for network, version in itertools.product(NETWORKS, FAMILIES)
            for address in self.targets(network, version).values()}

    def _run(self, name, network, ports=None):
        self.names.append(name)
        self.engine.run_container(name, network=network, HostConfig={"PortBindings": ports or {}})

    @functools.cache
    def address(self, name, version):
        it = self.engine.endpoint(name)
        return it["IPAddress" if version == 4 else "GlobalIPv6Address"]

    @functools.cache
    def gateway(self, network, version):
        it = self.engine.endpoint(f"{network}1")
        return it["Gateway" if version == 4 else "IPv6Gateway"] or next(
            pool["Gateway"].split("/")[0] for pool in self.engine.network(network)["IPAM"]["Config"]
            if (":" in pool["Gateway"]) == (version == 6))

    def askers(self, network, who):
        if who in ("host", "outside", "peer"):
            return [getattr(self.world, who)]
        if who in ("itself", "same"):
            return [self.engine.place(network + ("1" if who == "itself" else "2"))]
        if who == "closed":
            return [self.engine.place("closed2")]
        return [self.engine.place(f"{other}2") for other in NETWORKS if other not in (network, "wire", "closed")]

    def targets(self, network, version):
        target = f"{network}1"
        return {
            "address": (self.address(target, version), INSIDE),
            "host": (HOST[f"wan{version}"], self.port[target]),
            "loopback": (FAMILIES[version], self.port[target]),
            "gateway": (self.gateway(network, version), self.port[target]),
        }

    def close(self):
        self.servers.close()
        for name in reversed(self.names):
            self.engine.forget(name)
            self.engine.request("DELETE", f"/containers/{name}?force=1")
        for network, settings in NETWORKS.items():
            if settings is not None:
                assert self.engine.request("DELETE", f"/networks/{network}").status == 204


@pytest.fixture(scope="module")
def matrix(engine):
    matrix = None
    try:
        matrix = Matrix(engine)
        yield matrix
    finally:
        if matrix:
            matrix.close()


def cases(matrix, text, targets):
    """(what is asked for, question, expected): one for each yes and no of a table, each family and protocol."""
    found = []
    filtered = matrix.world.host.filters_bridges()
    for row in rows(text):
        for version in FAMILIES:
            for what, (address, port) in targets(row["network"], version).items():
                if row[what] == "-" or row[what] == "(yes)" and version == 4 and filtered:
                    continue
                for asker, protocol in itertools.product(
                        matrix.askers(row["network"], row.get("from", "itself")), ("tcp", "udp")):
                    title = f"{asker.name} to {row['network']}1's {what} ({address} port {port}, {protocol})"
                    found.append((title, Question(asker, protocol, address, port), "yes" in row[what]))
    return found


def check(found, who):
    """All at once. `who` says whose answer it must be. Returns the answers by their questions."""
    questions = [question for _, question, _ in found]
    expected = [it for _, _, it in found]
    answers = [None] * len(found)
    for number, answer in zip(
            [n for n, it in enumerate(expected) if not it], ask([q for q, it in zip(questions, expected) if not it])):
        answers[number] = answer
    for number, answer in zip(
            [n for n, it in enumerate(expected) if it], reach([q for q, it in zip(questions, expected) if it])):
        answers[number] = answer
    wrong = []
    for (title, question, reaches), answer in zip(found, answers):
        if reaches and (answer is None or answer.name != who(question)):
            wrong.append(f"{title}: {answer}, not an answer of {who(question)}")
        if not reaches and answer is not None:
            wrong.append(f"{title}: {answer}, where there should be none")
    assert not wrong, f"{len(wrong)} of {len(found)}:\n" + "\n".join(wrong)
    return dict(zip(questions, answers))


def test_every_kind_of_network_reaches_what_it_should(matrix):
    found = cases(matrix, TABLE, matrix.targets)
    assert len(found) > 500
    # Every "no" has a "yes" of the same family and protocol, so that it is no dead server that did not answer.
    answers = check(found, lambda question: matrix.owner[question.address, question.port])
    for question, answer in answers.items():
        if answer and question.place in (matrix.world.outside, matrix.world.peer):
            seen = (OUTSIDE if question.place is matrix.world.outside else PEER).values()
            assert answer.source in seen, (question, answer)
        elif answer and question.port == INSIDE and question.place is not matrix.world.host:
            version = 6 if ":" in question.address else 4
            assert answer.source == matrix.address(question.place.name, version), (question, answer)


def test_what_instances_reach_beyond_their_networks(matrix):
    def targets(network, version):
        return {
            "outside": (OUTSIDE[version], OUT), "peer": (PEER[version], OUT),
            "host": (HOST[f"wan{version}"], OUT), "gateway": (matrix.gateway(network, version), OUT),
        }

    def who(question):
        return {OUTSIDE[4]: "outside", OUTSIDE[6]: "outside", PEER[4]: "peer", PEER[6]: "peer"}.get(
            question.address, "host")

    answers = check(cases(matrix, OUTGOING, targets), who)
    for row in rows(OUTGOING):
        for question, answer in answers.items():
            if question.place.name == f"{row['network']}1" and answer and answer.name in ("outside", "peer"):
                version, side = 6 if ":" in question.address else 4, "wan" if answer.name == "outside" else "lan"
                seen = HOST[f"{side}{version}"] if row["seen-as"] == "host" else \
                    matrix.address(question.place.name, version)
                assert answer.source == seen, (question, answer)


def both(place, address, port):
    return [Question(place, protocol, address, port) for protocol in ("tcp", "udp")]


def test_on_the_hosts_network_it_is_the_host(matrix):
    """`--network host`: at the host's own addresses, for everybody who reaches the host."""
    world, place = matrix.world, matrix.engine.place
    questions = []
    for version, loopback in FAMILIES.items():
        for asker in (world.host, world.outside, world.peer, place("hosted"), place("user1"), place("bridge1")):
            questions += both(asker, HOST[f"wan{version}"], INSIDE)
        questions += both(world.host, loopback, INSIDE)
    assert {answer and answer.name for answer in reach(questions)} == {"hosted"}
    outgoing = [question for version in FAMILIES for question in both(place("hosted"), OUTSIDE[version], OUT)]
    assert {answer.source for answer in reach(outgoing)} == {HOST["wan4"], HOST["wan6"]}


def test_on_no_network_there_is_only_itself(matrix):
    """`--network none`."""
    alone = matrix.engine.place("alone")
    assert alone.links() == {}
    for loopback in FAMILIES.values():
        assert [answer.name for answer in reach(both(alone, loopback, INSIDE))] == ["alone"] * 2
    addresses = [(HOST["wan4"], OUT), (HOST["wan6"], OUT), (OUTSIDE[4], OUT), (OUTSIDE[6], OUT)]
    addresses += [(matrix.address("user1", version), INSIDE) for version in FAMILIES]
    assert not any(ask([question for address in addresses for question in both(alone, *address)]))


def test_in_another_instances_network_it_is_at_the_others_address(matrix):
    """`--network container:ID`."""
    world, place = matrix.world, matrix.engine.place
    for version, loopback in FAMILIES.items():
        address = matrix.address("user1", version)
        for asker in (world.host, place("user2"), place("user1"), place("joined")):
            assert [it and it.name for it in reach(both(asker, address, INSIDE + 2))] == ["joined"] * 2
        assert [it.name for it in reach(both(place("joined"), loopback, INSIDE))] == ["user1"] * 2
        assert [it.name for it in reach(both(place("joined"), OUTSIDE[version], OUT))] == ["outside"] * 2
        assert not any(ask(both(world.outside, address, INSIDE + 2)))


def test_it_is_the_firewall_that_refuses(matrix):
    """Without the engine's table, the same questions are answered; a daemon that starts puts the table back."""
    refused = [
        (title, question) for title, question, reaches in cases(matrix, TABLE, matrix.targets)
        if not reaches and title.split(" to ")[1].startswith(("bridge1's address", "user1's address"))
        # Instances of an internal network have no way there.
        and question.place.name != "closed2"]
    assert len(refused) >= 32
    questions = [question for _, question in refused]
    assert not any(ask(questions))
    host = matrix.world.host
    # A daemon that runs puts it back with the next change.
    matrix.engine.kill()
    host.run("nft", "delete", "table", "inet", table(matrix.engine))
    silent = [title for (title, _), answer in zip(refused, reach(questions)) if answer is None]
    assert not silent, "\n".join(silent)
    matrix.engine.start()
    assert f"inet {table(matrix.engine)}" in host.tables()
    assert not any(ask(questions))
    check(cases(matrix, TABLE, matrix.targets), lambda question: matrix.owner[question.address, question.port])
