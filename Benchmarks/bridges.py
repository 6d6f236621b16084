#!/usr/bin/env python3
"""Measures this engine's bridge beside dockerd's and one made by hand, interleaved, and writes `## Networks` of docs/performance.md.

Each engine has a network namespace for itself as its host, so that neither passes the other's firewall rules. Traffic is
made by the machine's own programs, which enter the containers' network namespaces.
"""

import argparse
import copy
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import document
import run
from peers import BINARIES, Apus, Docker

HERE = pathlib.Path(__file__).resolve().parent
PATHS = {"host": "host to container", "return": "container to host", "peer": "container to container"}
KINDS = {"stream": ("TCP stream", "Gbit/s"), "answers": ("TCP requests and answers", "1/s")}


def command(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, **options).stdout


class Namespace:
    """A network namespace of ip-netns(8)."""

    def __init__(self, name):
        self.name = f"bench-{os.getpid()}-{name}"
        command("ip", "netns", "add", self.name)
        command("ip", "-n", self.name, "link", "set", "lo", "up")
        self.words = ["nsenter", f"--net=/run/netns/{self.name}"]

    def ip(self, text):
        command("ip", "-n", self.name, *text.split())

    def close(self):
        subprocess.run(["ip", "netns", "delete", self.name], check=False)


class Bridged:
    """An engine whose host is a namespace of its own, and whose containers are on its default bridge."""

    network = "bridge"

    def __init__(self):
        super().__init__()
        self.host = Namespace(self.name)
        self.sleepers = []

    def command(self):
        return [*self.host.words, *super().command()]

    def client(self):
        return [*self.host.words, *super().client()]

    def stop(self):
        try:
            super().stop()
        finally:
            self.host.close()

    def ends(self):
        """Two containers: how to enter each one's network namespace, and its address."""
        ends = []
        for _ in range(2):
            self.sleepers.append(self.sleeper())
            answer = json.loads(self.call("GET", f"/containers/{self.sleepers[-1]}/json")[1])
            address = answer["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
            ends.append((["nsenter", f"--net=/proc/{answer['State']['Pid']}/ns/net"], address))
        return ends

    def close_ends(self):
        while self.sleepers:
            self.remove(self.sleepers.pop())


class BridgedApus(Bridged, Apus):
    pass


class BridgedDocker(Bridged, Docker):
    def command(self):
        return [word for word in super().command() if word not in ("--bridge=none", "--iptables=false")]


class ByHand:
    """A bridge with two pairs of virtual Ethernet interfaces, and no firewall."""

    name = "by hand"

    def __init__(self):
        self.host = Namespace("hand")
        self.inside = [Namespace(f"hand{number}") for number in range(2)]
        self.host.ip("link add br0 type bridge")
        self.host.ip("addr add 172.31.0.1/24 dev br0")
        self.host.ip("link set br0 up")
        for number, namespace in enumerate(self.inside):
            self.host.ip(f"link add v{number} type veth peer name eth0 netns {namespace.name}")
            self.host.ip(f"link set v{number} master br0 up")
            namespace.ip(f"addr add 172.31.0.{number + 2}/24 dev eth0")
            namespace.ip("link set eth0 up")
            namespace.ip("route add default via 172.31.0.1")

    def ends(self):
        return [(namespace.words, f"172.31.0.{number + 2}") for number, namespace in enumerate(self.inside)]

    def close_ends(self):
        pass

    def stop(self):
        for namespace in [*self.inside, self.host]:
            namespace.close()


def together(server, client):
    """Both ends on one processor: what is measured is the work, not the scheduler's whims."""
    words = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]
    return [*words, *server], [*words, *client]


def stream(server, client, address, seconds):
    """Gbit/s that arrive."""
    with subprocess.Popen([*server, "iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, text=True) as listener:
        # Its own words are a line of dashes first.
        listener.stdout.readline()
        time.sleep(0.1)
        answer = json.loads(command(*client, "iperf3", "-c", address, "-t", seconds, "-J"))
        listener.communicate()
    return answer["end"]["sum_received"]["bits_per_second"] / 1e9


def answers(program, server, client, address, seconds):
    """Requests answered in a second."""
    with subprocess.Popen([*server, program, address], stdout=subprocess.PIPE, text=True) as listener:
        listener.stdout.readline()
        return float(command(*client, program, address, seconds))


def traffic(subjects, rounds, seconds):
    """What passes: by kind, path and subject, one figure of each round."""
    figures = {(kind, path): {subject.name: [] for subject in subjects} for kind in KINDS for path in PATHS}
    ends = {subject.name: subject.ends() for subject in subjects}
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/pingpong"
        command("cc", "-O2", "-o", program, HERE / "pingpong.c")
        for number in range(rounds):
            for subject in subjects[number % len(subjects):] + subjects[:number % len(subjects)]:
                (first, address), (second, other) = ends[subject.name]
                host, gateway = subject.host.words, address.rsplit(".", 1)[0] + ".1"
                for path, (server, client, target) in {
                        "host": (first, host, address), "return": (host, first, gateway), "peer": (second, first, other)}.items():
                    server, client = together(server, client)
                    figures["stream", path][subject.name].append(stream(server, client, target, seconds))
                    figures["answers", path][subject.name].append(answers(program, server, client, target, seconds / 2))
            print(f"traffic, round {number + 1} of {rounds}", flush=True)
    for subject in subjects:
        subject.close_ends()
    return figures


def traffic_table(figures, names):
    lines = ["| | " + " | ".join(names) + " | apus to by hand | apus to dockerd |", "|---|" + "---|" * (len(names) + 2)]
    for (kind, path), values in figures.items():
        title, unit = KINDS[kind]
        digits = 2 if kind == "stream" else 0
        medians = {name: statistics.median(values[name]) for name in names}
        cells = [f"{medians[name]:.{digits}f} / {max(values[name]):.{digits}f}" for name in names]

        def ratio(other):
            if not {"apus", other} <= set(names):
                return ""
            return f"{medians['apus'] / medians[other]:.2f} ({max(values['apus']) / max(values[other]):.2f})"

        lines.append(f"| {title}, {PATHS[path]}, {unit} | " + " | ".join(cells) + f" | {ratio('by hand')} | {ratio('dockerd')} |")
    return "\n".join(lines) + "\n"


def without(peer):
    """The same engine, its containers without a network."""
    other = copy.copy(peer)
    other.network, other.name = "none", f"{peer.name}, none"
    return other


def cycles(engines, rounds, count):
    """The lifecycle on the bridge, and many containers at once."""
    lanes = [*engines, *(without(engine) for engine in engines if engine.name == "apus")]
    names = [lane.name for lane in lanes]
    times = run.interleave(lanes, rounds, lambda peer: peer.cycle(), "cycle on the bridge")
    lines = ["| | " + " | ".join(names) + " | apus to dockerd |", "|---|" + "---|" * (len(names) + 1)]

    def ratio(figures):
        return f"1/{figures['dockerd'] / figures['apus']:.1f}" if {"apus", "dockerd"} <= set(figures) else ""

    for kind, title in run.KINDS.items():
        medians = {name: statistics.median(times[kind][name]) for name in names}
        cells = [f"{min(times[kind][name]) * 1e3:.1f} / {medians[name] * 1e3:.1f}" for name in names]
        lines.append(f"| API create + start + wait + delete, {title}, ms | " + " | ".join(cells) + f" | {ratio(medians)} |")
    if count:
        started, removed, _ = run.many(lanes, count)
        for title, figures in (("started", started), ("force-removed", removed)):
            cells = [f"{figures[name]:.2f}" for name in names]
            lines.append(f"| {count} containers {title}, s | " + " | ".join(cells) + f" | {ratio(figures)} |")
    return "\n".join(lines) + "\n"


def text(options, traffic_text, cycle_text):
    machine = f"{os.cpu_count()} CPUs, Linux {platform.release()}, {datetime.date.today()}"
    return f"""Measured by `Benchmarks/bridges.py` ({machine}). Each engine has a network namespace as its host, and its default bridge in it;
"by hand" is a bridge with two pairs of interfaces made by `ip`, without any firewall. They take turns, the next one
beginning each round. Ratios are of medians (of maxima).

Traffic over IPv4, {options.rounds} rounds of {options.seconds} s (answers half of it), median / maximum; iperf3, and one byte there and back. Both
ends are bound to the same processor: figures tell the work for a packet, not what several processors could do.

{traffic_text}
Lifecycle, {options.cycles} rounds of {run.ROW}, minimum / median; "none" is this engine without a network.

{cycle_text}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="apus,dockerd", help="engines, divided by commas")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of traffic; 0 leaves it out")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement of traffic")
    parser.add_argument("--cycles", type=int, default=20, help="rounds of lifecycles; 0 leaves them out")
    parser.add_argument("--many", type=int, default=200, help="containers started and removed; 0 leaves it out")
    parser.add_argument("--dry", action="store_true", help="print, do not write docs/performance.md")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("The engines need root; run this with sudo.")
    if not (BINARIES / "apusd").exists() and "apus" in options.peers:
        sys.exit(f"There is no {BINARIES / 'apusd'}; build it first with 'make build'.")
    subjects = []
    try:
        for kind in [{"apus": BridgedApus, "dockerd": BridgedDocker}[name] for name in options.peers.split(",") if name]:
            subject = kind()
            subjects.append(subject)
            subject.start()
        engines = list(subjects)
        traffic_text = cycle_text = ""
        if options.rounds:
            subjects.append(ByHand())
            figures = traffic(subjects, options.rounds, options.seconds)
            traffic_text = traffic_table(figures, [subject.name for subject in subjects])
            print("\n" + traffic_text)
        if options.cycles and engines:
            cycle_text = cycles(engines, options.cycles, options.many)
            print("\n" + cycle_text)
        if not options.dry:
            document.section("Networks", text(options, traffic_text, cycle_text))
            print(f"wrote {document.PATH}")
    finally:
        for subject in subjects:
            subject.stop()


if __name__ == "__main__":
    main()
