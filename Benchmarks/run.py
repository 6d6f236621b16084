#!/usr/bin/env python3
"""Measures this engine beside others on this machine, interleaved, and writes docs/performance.md.

Each engine is started privately, with the same image and without a network; the API is spoken by the same client over
one persistent connection to each. Figures are medians and minima of rounds in which the engines take turns, so that
what else the machine does falls on all of them.
"""

import argparse
import concurrent.futures
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import document as page
import pulls
from peers import BINARIES, IMAGE, PEERS, REPOSITORY, Peer

#: What is to be reached, as a share of dockerd's median or as an absolute figure.
TARGETS = {
    "cycle": ("API create + start + wait + delete", "ms", 1 / 25),
    "exec": ("API exec", "ms", 1 / 10),
    "run": ("`run --rm` as a whole process", "ms", 1 / 15),
    "start": ("containers started", "s", 1 / 10),
    "remove": ("containers force-removed", "s", 1 / 10),
}

#: How an operation comes.
KINDS = {"row": "in a row", "paused": "after a pause"}
#: Operations of one turn, the first of them after a pause.
ROW = 4


def interleave(peers, rounds, action, label):
    """Seconds of each operation, by how it comes and by engine: the first after a pause, and those right after it.

    An operation after a pause finds cold caches and sleeping processors, one in a row finds them warm; users meet both.
    """
    times = {kind: {peer.name: [] for peer in peers} for kind in KINDS}
    for number in range(rounds):
        # Another one begins each time: none has always the same one's traces to clear away.
        for peer in peers[number % len(peers):] + peers[:number % len(peers)]:
            # Engines tidy up after they have answered; that is not the next one's cost.
            time.sleep(0.25)
            for repetition in range(ROW):
                started = time.perf_counter()
                action(peer)
                # The first rounds fill caches.
                if number >= min(3, rounds // 4):
                    kind = "paused" if repetition == 0 else "row"
                    times[kind][peer.name].append(time.perf_counter() - started)
    for kind in KINDS:
        for name, values in times[kind].items():
            print(f"{label + ', ' + KINDS[kind]:30} {name:8} min {min(values) * 1e3:9.2f} ms  "
                  f"median {statistics.median(values) * 1e3:9.2f} ms")
    return times


def many(peers, count):
    """Starts and removes `count` sleepers on each engine in turn, eight requests at a time."""
    started, removed, each = {}, {}, {}
    for peer in peers:
        before = peer.memory()
        begin = time.perf_counter()
        identifiers = parallel(peer, [lambda other: other.sleeper()] * count)
        started[peer.name] = time.perf_counter() - begin
        # Idle is who has not been asked for anything for a while.
        time.sleep(8)
        each[peer.name] = (peer.memory() - before) / count
        begin = time.perf_counter()
        parallel(peer, [lambda other, it=identifier: other.remove(it) for identifier in identifiers])
        removed[peer.name] = time.perf_counter() - begin
        print(f"{count} sleepers on {peer.name}: started {started[peer.name]:.2f} s, removed {removed[peer.name]:.2f} s, "
              f"{each[peer.name] / 1e6:.2f} MB each")
    return started, removed, each


def parallel(peer, actions, width=8):
    from engines import UnixConnection

    class Lane(type(peer)):
        """The same engine over a connection of its own."""

        def __init__(self):  # pylint: disable=super-init-not-called
            self.__dict__.update(peer.__dict__)
            self.connection = UnixConnection(str(peer.socket), timeout=600)

    lanes = [Lane() for _ in range(width)]
    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        parts = pool.map(lambda lane: [action(lanes[lane]) for action in actions[lane::width]], range(width))
        results = [result for part in parts for result in part]
    for lane in lanes:
        lane.connection.close()
    return results


def thousand(peer, count):
    """`count` containers up at once, every one of them answering an exec."""
    begin = time.perf_counter()
    identifiers = parallel(peer, [lambda other: other.sleeper()] * count)
    up = time.perf_counter() - begin
    begin = time.perf_counter()
    parallel(peer, [lambda other, it=identifier: other.exec(it) for identifier in identifiers])
    answered = time.perf_counter() - begin
    memory = peer.memory()
    begin = time.perf_counter()
    parallel(peer, [lambda other, it=identifier: other.remove(it) for identifier in identifiers])
    gone = time.perf_counter() - begin
    print(f"{count} on {peer.name}: up {up:.1f} s, all answered an exec {answered:.1f} s, removed {gone:.1f} s, "
          f"{memory / 1e6:.0f} MB in all")
    return up, answered, gone, memory


def table(peers, results, idle, each, count, large):
    names = [peer.name for peer in peers]
    lines = ["| | " + " | ".join(names) + " | apus to dockerd |", "|---|" + "---|" * (len(names) + 1)]

    def ratio(figures):
        if "dockerd" not in figures or not figures["apus"]:
            return ""
        return f"1/{figures['dockerd'] / figures['apus']:.1f}"

    for kind in KINDS:
        for key in ("cycle", "exec", "run"):
            if key in results:
                times = results[key][kind]
                medians = {name: statistics.median(values) for name, values in times.items()}
                cells = [f"{min(times[name]) * 1e3:.1f} / {medians[name] * 1e3:.1f}" for name in names]
                lines.append(f"| {TARGETS[key][0]}, {KINDS[kind]}, ms | " + " | ".join(cells) + f" | {ratio(medians)} |")
    for key in ("start", "remove"):
        if key in results:
            cells = [f"{results[key][name]:.2f}" for name in names]
            lines.append(f"| {count} {TARGETS[key][0]}, s | " + " | ".join(cells) + f" | {ratio(results[key])} |")
    if idle:
        cells = [f"{idle[name] / 1e6:.1f}" for name in names]
        lines.append("| idle daemon, MB PSS | " + " | ".join(cells) + f" | {ratio(idle)} |")
    if each:
        cells = [f"{each[name] / 1e6:.2f}" for name in names]
        lines.append("| one idle container, MB PSS | " + " | ".join(cells) + f" | {ratio(each)} |")
    text = "\n".join(lines) + "\n"
    if large:
        number, (up, answered, gone, memory) = large
        text += (f"\n{number:,} containers at once (apus): up in {up:.1f} s, every one answered an exec in {answered:.1f} s, "
                 f"removed in {gone:.1f} s; daemon, shims and programs together {memory / 1e6:.0f} MB PSS.\n")
    return text


def document(text, pulled, rounds):
    path = REPOSITORY / "docs" / "performance.md"
    machine = f"{os.cpu_count()} CPUs, Linux {platform.release()}, {datetime.date.today()}"
    versions = []
    for words in (["dockerd", "--version"], ["podman", "--version"]):
        try:
            versions.append(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
        except (OSError, subprocess.CalledProcessError):
            continue
    path.write_text(f"""# Performance

Measured by `make bench` ({machine}; {'; '.join(versions)}). Engines take turns in {rounds} rounds
of {ROW} operations, the next engine beginning each round, with a pause of 0.25 s before each turn in which the one before tidies
up: the first operation of a turn is "after a pause", the others are "in a row". Each engine has the same image (a static
busybox), network none, and the same client over one persistent connection. "ms" are minimum / median. Ratios are of medians.

{text}
A whole `run --rm` is the engine's own command line against its own daemon. Memory is proportional set size: the daemon's
processes alone after 45 s without a request, and what each of many sleeping containers adds to it with its shim and its program.
{pulled}{page.read("Networks")}{page.read("Runtimes")}""")
    print(f"wrote {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="apus,dockerd,podman", help="engines, divided by commas")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each engine, each of several operations")
    parser.add_argument("--many", type=int, default=200, help="containers started and removed; 0 leaves it out")
    parser.add_argument("--thousand", type=int, nargs="?", const=1000, default=0, help="containers up at once on apus")
    parser.add_argument("--pulls", type=int, default=7, help="rounds of pulls and removals of images; 0 leaves them out")
    parser.add_argument("--dry", action="store_true", help="print, do not write docs/performance.md")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("The engines need root; run this with sudo.")
    if not (BINARIES / "apusd").exists() and "apus" in options.peers:
        sys.exit(f"There is no {BINARIES / 'apusd'}; build it first with 'make build'.")

    peers: list[Peer] = []
    try:
        for name in options.peers.split(","):
            peer = PEERS[name]()
            try:
                peers.append(peer.start())
            except (OSError, RuntimeError) as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
        if not peers:
            sys.exit("No engine started.")
        # Idle is when nobody has asked for anything for a while, for every engine alike.
        time.sleep(45)
        idle = {peer.name: peer.memory() for peer in peers}
        for name, size in idle.items():
            print(f"idle       {name:8} {size / 1e6:.1f} MB PSS")
        results = {"cycle": interleave(peers, options.rounds, lambda peer: peer.cycle(), "cycle")}
        sleepers = {peer.name: peer.sleeper() for peer in peers}
        results["exec"] = interleave(peers, options.rounds, lambda peer: peer.exec(sleepers[peer.name]), "exec")
        for peer in peers:
            peer.remove(sleepers[peer.name])
        results["run"] = interleave(peers, options.rounds, lambda peer: peer.run(), "run --rm")
        each = {}
        if options.many:
            results["start"], results["remove"], each = many(peers, options.many)
        large = None
        if options.thousand:
            large = (options.thousand, thousand(next(peer for peer in peers if peer.name == "apus"), options.thousand))
        text = table(peers, results, idle, each, options.many, large)
        print("\n" + text)
        # What is not measured now stays as it was.
        pulled = page.read("Images")
        if options.pulls:
            pulled = (f"\n## Images\n\nMinimum / median of {options.pulls} rounds, from one docker-registry on this machine; "
                      "processor time is that of the command and of the engine's processes.\n\n"
                      + pulls.measure(peers, options.pulls))
        if not options.dry:
            document(text, pulled, options.rounds)
    finally:
        for peer in peers:
            peer.stop()


if __name__ == "__main__":
    main()
