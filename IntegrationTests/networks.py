"""What an engine has of networks on its host: interfaces, addresses, neighbours, routes, firewall elements, leases."""

import json
import sqlite3
import string
import time


def identity(engine):
    try:
        return (engine.root / "identity").read_text().strip()
    except OSError:
        return None


def bridge(engine):
    """The interface of the network `bridge`: not apus0, which is for the engine in the usual place."""
    return named(identity(engine))


def named(mark):
    return "apus" + "".join(it for it in mark if it in string.hexdigits)[:8]


def table(engine):
    """The engine's table, of the family inet."""
    return bridge(engine)


def bridges(engine, mark=None):
    """Interfaces of the host that bear the engine's mark."""
    mark = f"apus {mark or identity(engine)}"
    return [name for name, link in engine.host.links().items() if link.get("ifalias") == mark]


def left_behind(engine, mark=None):
    """Takes what a daemon that has ended has left from the host. Says what that was.

    `mark`: its identity, where the file has gone.
    """
    mark = mark or identity(engine)
    if mark is None:
        return []
    found_tables, found_bridges = set(engine.host.tables()) & {f"inet {named(mark)}"}, bridges(engine, mark)
    for name in found_tables:
        engine.host.run("nft", "delete", "table", *name.split(), check=False)
    for name in found_bridges:
        engine.host.run("ip", "link", "delete", name, check=False)
    return [*found_tables, *found_bridges]


def leases(engine):
    """What the state database says that running instances have: the text of each one's row, by its id."""
    database = sqlite3.connect(f"file:{engine.root}/apus.db?mode=ro", uri=True)
    try:
        return {instance: bytes(record).decode() for instance, record in database.execute(
            "SELECT instance, record FROM attachment")}
    finally:
        database.close()


def cables(engine):
    """Interfaces plugged to the engine's bridges: those of instances, and how many more there are than stand by."""
    own = set(bridges(engine))
    plugged = [name for name, link in engine.host.links().items() if link.get("master") in own]
    text = "".join(leases(engine).values())
    # They are named by the first twelve digits of their endpoints' ids.
    known = sorted(name for name in plugged if name[2:] in text)
    existing = {container["Id"] for container in engine.request("GET", "/containers/json?all=1").json}
    standing = [path for path in (engine.run / "instances").iterdir() if path.name not in existing]
    return known, max(0, len(plugged) - len(known) - len(standing))


def elements(place, name):
    """Every chain, rule, set and element of a table, without handles and counters."""
    if f"inet {name}" not in place.tables():
        return []
    found = []
    for item in json.loads(place.out("nft", "-j", "list", "table", "inet", name))["nftables"]:
        for kind, body in item.items():
            if kind == "metainfo":
                continue
            body = {key: value for key, value in body.items() if key != "handle"}
            for element in body.pop("elem", []):
                found.append(f"element of {body['name']}: {json.dumps(element, sort_keys=True)}")
            found.append(f"{kind} {json.dumps(body, sort_keys=True)}")
    return sorted(found)


def traces(engine):
    """All of it: after the last instance as much as before the first. Sandboxes that stand by do not count."""
    own, (known, strays) = set(bridges(engine)), cables(engine)
    host, leased = engine.host, "".join(leases(engine).values())

    def of_bridges(lines):
        return sorted(line for line in lines if own.intersection(line.split()))

    return {
        "bridges": sorted(own),
        "cables": known,
        "strays": strays,
        "addresses": sorted(f"{name} {address}" for name in own for address in host.addresses(name)),
        # Of those who are gone.
        "neighbours": sorted(f"{it['dst']} {it['dev']}" for it in json.loads(
            host.out("ip", "-j", "neighbour") or "[]") if it["dev"] in own and f'"{it["dst"]}' not in leased),
        # A bridge that nothing is plugged to is down as far as routes can tell.
        "routes": of_bridges(
            line.replace(" linkdown", "") for version in ("-4", "-6")
            for line in host.out("ip", version, "route", "show", "table", "all").splitlines() if "fe80:" not in line
            and "multicast" not in line),
        "firewall": elements(host, table(engine)),
        "leases": sorted(leases(engine)),
    }


def difference(before, after):
    """Of two traces what is not in both; empty for equal ones."""
    found = {}
    for what in before:
        if before[what] != after[what]:
            found[what] = (before[what], after[what]) if isinstance(before[what], int) else {
                "more": [it for it in after[what] if it not in before[what]],
                "less": [it for it in before[what] if it not in after[what]]}
    return found


def at_rest(engine, timeout=15):
    """The traces, when the kernel has done with the namespaces of those who are gone."""
    deadline = time.monotonic() + timeout
    while (found := traces(engine))["strays"]:
        assert time.monotonic() < deadline, f"{found['strays']} interfaces that nobody has"
        time.sleep(0.05)
    return found


def settled(engine, before, timeout=15):
    """Waits until the traces are as they were."""
    deadline = time.monotonic() + timeout
    while left := difference(before, traces(engine)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
