#!/usr/bin/env python3
"""Measures apus-runtime beside crun and runc, interleaved, and the floor below them, and writes `## Runtimes` of docs/performance.md.

All get the same bundle and configuration, in the same mount namespace; the order changes from round to round. The floor
is a static C program that makes the system calls of the same container and nothing else (floor.c).
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import document

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "IntegrationTests"))

import images  # noqa: E402

APUS = pathlib.Path(os.environ.get("APUS_BIN", REPOSITORY / "build" / "bin")) / "apus-runtime"
GROUP = "apus-bench-oci"
#: Docker's, of containers-common, which podman brings along.
PROFILE = pathlib.Path("/usr/share/containers/seccomp.json")
CAPABILITIES = ["CAP_" + name for name in """CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE""".split()]
MASKED = ["/proc/" + name for name in "acpi asound kcore keys latency_stats timer_list timer_stats sched_debug scsi".split()] \
    + ["/sys/firmware", "/sys/devices/virtual/powercap"]
VERBS = {"run": "run", "life": "create + start + delete", "exec": "exec"}
TARGETS = {"run": 0.55, "life": 0.55, "exec": 0.6}
#: Between turns: the kernel takes network namespaces apart after their end, on nobody's account.
PAUSE = 0.01


def seccomp():
    """Docker's default profile as linux.seccomp, for the capabilities above."""
    profile = json.loads(PROFILE.read_text())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    native = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}[machine]
    entry = next(entry for entry in profile["archMap"] if entry["architecture"] == native)

    def fits(rule):
        wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
        return (not wanted.get("arches") or machine in wanted["arches"]) and machine not in unwanted.get("arches", []) \
            and all(name in CAPABILITIES for name in wanted.get("caps", [])) \
            and not any(name in CAPABILITIES for name in unwanted.get("caps", []))

    keys = ("names", "action", "args", "errnoRet")
    return {
        "defaultAction": profile["defaultAction"], "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
        "architectures": [native, *entry["subArchitectures"]],
        "syscalls": [{key: rule[key] for key in keys if rule.get(key)} for rule in profile["syscalls"] if fits(rule)],
    }


def configuration(group, *program):
    strict = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": list(program), "env": ["PATH=/bin", "TERM=xterm", "HOME=/root"], "cwd": "/",
            "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "bench",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": strict},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*strict, "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": strict},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*strict, "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*strict, "relatime", "ro"]},
        ],
        "linux": {
            "cgroupsPath": f"/{GROUP}/{group}",
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}], "memory": {"limit": 256 << 20}, "pids": {"limit": 100}},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "seccomp": seccomp(), "maskedPaths": MASKED,
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


class Meter:
    """measure.c: what commands cost. What they leave behind is its."""

    def __init__(self, program, errors):
        self.errors = pathlib.Path(errors)
        self.process = subprocess.Popen(
            [program, str(errors)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __call__(self, *words):
        """Wall and processor time in ms, peak resident set in MiB."""
        self.process.stdin.write("\x1f".join(map(str, words)) + "\n")
        wall, cpu, peak, status = map(int, self.process.stdout.readline().split())
        # What is waited for has been killed.
        if status != 0 and words != ("wait",):
            raise RuntimeError(f"{words} ended with {status}: {self.errors.read_text()[-500:]}")
        return wall / 1e6, cpu / 1e6, peak / 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)


class Runtime:
    def __init__(self, name, program, directory):
        self.name, self.directory = name, directory
        self.words = [program, "--root", directory / f"{name}-state"]

    def run(self, meter):
        return meter(*self.words, "run", "--bundle", self.directory / "true", self.name)

    def life(self, meter):
        parts = [meter(*self.words, "create", "--bundle", self.directory / "true", self.name),
                 meter(*self.words, "start", self.name)]
        # The program's end is waited for on nobody's time; its processor time counts.
        _, processor, _ = meter("wait")
        parts.append(meter(*self.words, "delete", self.name))
        wall, cpu, peak = zip(*parts)
        return sum(wall), sum(cpu) + processor, max(peak)

    def exec(self, meter):
        return meter(*self.words, "exec", f"{self.name}-sleeper", "true")

    def start_sleeper(self, meter):
        meter(*self.words, "run", "--detach", "--bundle", self.directory / f"sleep-{self.name}", f"{self.name}-sleeper")
        state = subprocess.run(
            [*map(str, self.words), "state", f"{self.name}-sleeper"], capture_output=True, text=True, check=True)
        return json.loads(state.stdout)["pid"]

    def end_sleeper(self, meter):
        meter(*self.words, "delete", "--force", f"{self.name}-sleeper")


class Floor:
    name = "floor"

    def __init__(self, program, directory):
        self.program, self.directory, self.process = program, directory, 0

    def run(self, meter):
        return meter(self.program, "run", self.directory / "true" / "rootfs", f"{GROUP}/true", self.directory / "filter")

    def life(self, meter):
        """The same, and two processes more that do nothing."""
        parts = [self.run(meter), meter(self.program, "nothing"), meter(self.program, "nothing")]
        wall, cpu, peak = zip(*parts)
        return sum(wall), sum(cpu), max(peak)

    def exec(self, meter):
        return meter(self.program, "exec", self.process, f"{GROUP}/sleep-apus-runtime", self.directory / "filter")


def bundle(path, *program):
    (path / "rootfs" / "bin").mkdir(parents=True)
    for name in ("proc", "sys", "dev", "tmp", "etc", "root"):
        (path / "rootfs" / name).mkdir()
    shutil.copy(images.busybox(), path / "rootfs" / "bin" / "busybox")
    for name in ("true", "sleep", "sh"):
        (path / "rootfs" / "bin" / name).symlink_to("busybox")
    (path / "config.json").write_text(json.dumps(configuration(path.name, *program)))


def compile_filter(runtime, meter, directory):
    """The program that apus-runtime has compiled, for the floor."""
    meter(*runtime.words, "create", "--bundle", directory / "true", "filter")
    shutil.copy(directory / f"{runtime.name}-state" / "filter" / "seccomp.bpf", directory / "filter")
    meter(*runtime.words, "delete", "filter")
    meter("wait")


def read_afresh(programs):
    """Lets the page cache have the files as the disk gives them, not as whoever wrote them last has left them: how much of a
    file is mapped at once, and counts as resident, depends on that."""
    os.sync()
    for program in programs:
        with open(program, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.read()


def measure(peers, pieces, meter, rounds):
    """By verb and name, and by piece: lists of (wall, processor, peak)."""
    results = {verb: {peer.name: [] for peer in peers} for verb in VERBS} | {"pieces": {name: [] for name in pieces}}
    warm = 3
    for number in range(rounds + warm):
        order = peers[number % len(peers):] + peers[:number % len(peers)]
        for verb in VERBS:
            for peer in order:
                time.sleep(PAUSE)
                figures = getattr(peer, verb)(meter)
                if number >= warm:
                    results[verb][peer.name].append(figures)
        for name, words in pieces.items():
            results["pieces"][name].append(meter(*words))
    return results


def cells(values, digits=2):
    return f"{min(values):.{digits}f} / {statistics.median(values):.{digits}f}"


def table(results, names):
    ours, theirs = names[0], "crun"
    lines = ["| | " + " | ".join(names) + f" | {ours} to {theirs} | to reach |", "|---|" + "---|" * (len(names) + 2)]
    for verb, title in VERBS.items():
        for column, (what, digits) in enumerate((("wall, ms", 2), ("processor, ms", 2), ("peak resident set, MiB", 1))):
            figures = {name: [values[column] for values in results[verb][name]] for name in names}
            ratio, target = "", ""
            if theirs in figures:
                both = [(statistics.median(figures[name]), min(figures[name])) for name in (ours, theirs)]
                ratio = f"{both[0][0] / both[1][0]:.2f}" + (f" ({both[0][1] / both[1][1]:.2f})" if column < 2 else "")
                target = {0: f"{TARGETS[verb]}", 2: "below 1"}.get(column, "")
            shown = [cells(figures[name], digits) if column < 2 else f"{max(figures[name]):.1f}" for name in names]
            lines.append(f"| {title}: {what} | " + " | ".join(shown) + f" | {ratio} | {target} |")
    return "\n".join(lines) + "\n"


def remainder(results, ours):
    """Where the time above the floor goes, as far as it can be measured from outside."""
    minima = {name: min(values)[0] for name, values in results["pieces"].items()}
    nothing, start, again = minima.values()
    lines = ["| | wall, ms |", "|---|---|"]
    lines += [f"| {name} | {cells([value[0] for value in values])} |" for name, values in results["pieces"].items()]
    text = "\n".join(lines) + "\n\n"
    for verb in ("run", "exec"):
        gap = min(results[verb][ours])[0] - min(results[verb]["floor"])[0]
        text += (f"`{verb}` takes {gap:.1f} ms more than the floor (minima): {start - nothing:.1f} ms are the start of a larger program, "
                 f"{again - start:.1f} ms its being executed again from a read-only mount, which keeps containers from its file "
                 f"(CVE-2019-5736), and {gap - again + nothing:.1f} ms the rest: ")
        text += {
            "run": "the configuration (15 KB) is read and checked, its filter looked up, the state kept and removed again; and four times "
                   "as many page faults, for a program of several megabytes and two processes of it.\n",
            "exec": "state and configuration are read; the rest as for `run`.\n",
        }[verb]
    return text


def versions():
    found = []
    for words in (["crun", "--version"], ["runc", "--version"]):
        try:
            found.append(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[0])
        except (OSError, subprocess.CalledProcessError):
            continue
    return "; ".join(found)


def text(results, names, rounds):
    return f"""Measured by `Benchmarks/runtimes.py` ({os.cpu_count()} CPUs, Linux {platform.release()}, {datetime.date.today()}; {versions()}; Debian's
packages): {rounds} rounds with the order changing in each. One bundle and configuration for all: a static busybox's `true`, six
namespaces (all but user), fourteen capabilities, Docker's default system call filter, seven mounts, masked and read-only paths, a
control group with device rules and limits of memory and processes. Minimum / median; ratios are of medians (of minima).

{table(results, names)}
{remainder(results, names[0])}
Wall time is from the start of a command to its end as its parent sees it; of create + start + delete the three commands' sum,
without the wait for the program's end. Processor time is user and system time of the commands and of all they have waited for, and
of the container's process; what the kernel does later, such as taking a network namespace apart, is nobody's. The peak is that of
the largest single process. The floor is a static C program with the container's bare system calls (Benchmarks/floor.c), its filter
compiled beforehand; for create + start + delete, that and two processes that do nothing.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--peers", default="crun,runc", help="beside apus-runtime, divided by commas")
    parser.add_argument("--dry", action="store_true", help="print, do not write docs/performance.md")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("Containers need root; run this with sudo.")
    if not APUS.exists():
        sys.exit(f"There is no {APUS}; build it first with 'make build'.")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-oci-", dir="/run"))
    meters, sleeping = [], []
    try:
        for name in ("floor", "measure"):
            source = pathlib.Path(__file__).with_name(f"{name}.c")
            subprocess.run(["cc", "-O2", "-static", "-o", directory / name, source], check=True)
        bundle(directory / "true", "true")
        # What is measured leaves nothing behind; the sleepers are another's.
        meter, cradle = meters[:] = [Meter(directory / "measure", directory / "errors") for _ in range(2)]
        runtimes = [Runtime("apus-runtime", APUS, directory)]
        for name in filter(None, options.peers.split(",")):
            if shutil.which(name):
                runtimes.append(Runtime(name, shutil.which(name), directory))
            else:
                print(f"{name} is not installed", file=sys.stderr)
        floor = Floor(directory / "floor", directory)
        compile_filter(runtimes[0], meter, directory)
        for runtime in runtimes:
            bundle(directory / f"sleep-{runtime.name}", "sleep", "100000")
            process = runtime.start_sleeper(cradle)
            sleeping.append(runtime)
            floor.process = floor.process or process
        peers = [*runtimes, floor]
        read_afresh([runtime.words[0] for runtime in runtimes])
        pieces = {
            "a static C process that does nothing": [directory / "floor", "nothing"],
            "`apus-runtime --version`: start and end": [APUS, "--version"],
            "`apus-runtime run --help`: that, and executed again first": [APUS, "run", "--help"],
        }
        results = measure(peers, pieces, meter, options.rounds)
        names = [peer.name for peer in peers]
        print(table(results, names) + "\n" + remainder(results, names[0]))
        if not options.dry:
            document.section("Runtimes", text(results, names, options.rounds))
            print(f"wrote {document.PATH}")
    finally:
        for runtime in sleeping:
            runtime.end_sleeper(meters[1])
        for meter in meters:
            meter.close()
        shutil.rmtree(directory, ignore_errors=True)
        for group in pathlib.Path("/sys/fs/cgroup").glob(f"*/{GROUP}"):
            for path in (*group.glob("*/"), group):
                try:
                    path.rmdir()
                except OSError:
                    continue


if __name__ == "__main__":
    main()
