"""Writes the inputs that fuzzing of one target begins with: seeds.py TARGET DIRECTORY."""

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tarfile

DIGEST = "sha256:" + "0123456789abcdef" * 4


def archive(form):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", link="", **pax):
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname, entry.mtime = kind, len(data), link, 1.5
            entry.pax_headers = pax
            tar.addfile(entry, io.BytesIO(data))

        add("d", tarfile.DIRTYPE)
        add("d/f", data=b"x" * 700)
        add("d/" + "n" * 120, data=b"long")
        add("l", tarfile.SYMTYPE, link="d")
        add("l/through", data=b"1")
        add("h", tarfile.LNKTYPE, link="later")
        add("later", data=b"y" * 5000)
        add("c", tarfile.CHRTYPE)
        add("p", tarfile.FIFOTYPE)
        add("d/.wh.gone")
        add("d/.wh..wh..opq")
        add("d", data=b"now a file")
        if form == tarfile.PAX_FORMAT:
            add("x", **{"SCHILY.xattr.user.a": "b", "mtime": "-1.25", "uid": "4000000000"})
            add("s", data=b"12345678", **{"GNU.sparse.size": "100000", "GNU.sparse.map": "5,3,99995,5"})
            add("t", data=b"1\n90000\n4\n".ljust(512, b"\0") + b"abcd", **{
                "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100000", "GNU.sparse.name": "u"})
    return out.getvalue()


def configurations():
    """Configurations with every field that there is."""
    identity = [{"containerID": 0, "hostID": 1000, "size": 10}]
    hook = [{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}]
    yield {
        "ociVersion": "1.2.0", "hostname": "h", "domainname": "d", "annotations": {"a": "b"},
        "process": {
            "terminal": True, "consoleSize": {"height": 24, "width": 80}, "cwd": "/", "args": ["sh"], "env": ["A=b"],
            "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3]},
            "capabilities": {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}], "noNewPrivileges": True, "oomScoreAdj": 5,
            "apparmorProfile": "unconfined", "scheduler": {"policy": "SCHED_DEADLINE", "nice": 1, "priority": 2,
            "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 3, "deadline": 4, "period": 5},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4}, "execCPUAffinity": {"initial": "0-3,7", "final": "0"}},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "rro", "relatime"]},
            {"destination": "data", "source": "x", "options": ["rbind", "ridmap", "rslave"], "uidMappings": identity,
             "gidMappings": identity}, {"destination": "/t", "type": "tmpfs", "options": ["tmpcopyup", "size=5m"]}],
        "hooks": {kind: hook for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")},
        "linux": {
            "uidMappings": identity, "gidMappings": identity, "sysctl": {"net.ipv4.ip_forward": "1"}, "cgroupsPath": "/a/b",
            "namespaces": [{"type": kind} for kind in ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")],
            "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}],
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": -1, "minor": 3}],
                "memory": {"limit": -1, "swap": 5, "reservation": 1, "swappiness": 60}, "pids": {"limit": 5},
                "cpu": {"shares": 5, "quota": -1, "period": 1000, "cpus": "0", "mems": "0", "idle": 1},
                "blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 5}],
                            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}]},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 5}], "rdma": {"m": {"hcaHandles": 1, "hcaObjects": 2}},
                "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 5}]}, "unified": {"memory.high": "max"}},
            "rootfsPropagation": "rslave", "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "personality": {"domain": "LINUX32"}, "timeOffsets": {"boottime": {"secs": -5, "nanosecs": 7}},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]}}}
    yield {
        "ociVersion": "1.2.0", "process": {"args": ["a"], "cwd": "/"}, "root": {"path": "/r"},
        "linux": {"namespaces": [{"type": "mount", "path": "/proc/1/ns/mnt"}], "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/l", "listenerMetadata": "m", "syscalls": [
                {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["mount"], "action": "SCMP_ACT_NOTIFY"},
                {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [
                    {"index": 0, "value": 16, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}]}}}


def plan():
    for configuration in configurations():
        yield json.dumps(configuration).encode()
        for name in list(configuration):
            yield json.dumps({key: value for key, value in configuration.items() if key != name}).encode()


def specification():
    for configuration in configurations():
        yield b"\0" + json.dumps(configuration).encode()
        yield b"\1" + json.dumps(configuration["process"]).encode()
        yield b"\2" + json.dumps(configuration["linux"].get("resources", {})).encode()
    yield b"\3" + json.dumps({"ociVersion": "1.2.0", "fds": ["seccompFd"], "pid": 5, "metadata": "\u00e9\ud83d\ude00", "state": {
        "ociVersion": "1.2.0", "id": "one", "status": "running", "pid": 5, "bundle": "/b", "annotations": {"a": "\n"}}}).encode()


def layer():
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        try:
            yield b"\xff" + archive(form)
        except ValueError:
            continue


def decompress():
    data = b"the same again and again " * 200 + bytes(range(256))
    for compressed in (gzip.compress(data), bz2.compress(data), lzma.compress(data)):
        yield b"\x20" + compressed
        yield b"\x01" + compressed + compressed
    if shutil.which("zstd"):
        compressed = subprocess.run(["zstd", "-q"], input=data, stdout=subprocess.PIPE, check=True).stdout
        yield b"\x20" + compressed
        yield b"\x20\x50\x2a\x4d\x18\x02\x00\x00\x00\x00\x00" + compressed


def documents():
    one = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 5}
    platform = {"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1", "os.features": ["a"]}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": one,
                "layers": [one, one], "subject": one, "annotations": {"a": "b"}, "artifactType": "x/y"}
    index = {"schemaVersion": 2, "manifests": [dict(one, platform=platform), one], "annotations": {}}
    config = {"created": "2024-02-29T12:00:00.5+01:00", "author": "a", "architecture": "amd64", "os": "linux",
              "config": {"User": "u", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Entrypoint": ["/e"], "Cmd": "c",
                         "Volumes": {"/v": {}}, "Labels": {"l": "m"}, "Healthcheck": {"Test": ["CMD", "x"], "Retries": 3}},
              "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
              "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "b", "empty_layer": True}]}
    for number, document in enumerate((manifest, index, config)):
        yield bytes([number]) + json.dumps(document).encode()


def reference():
    for text in ("debian", "debian:12", "localhost:5000/a/b-c__d.e:Tag@" + DIGEST, "[::1]:80/x", "index.docker.io/x",
                 "linux/arm/v7", "windows", "x86_64", DIGEST, "2024-02-29T12:00:00.123456789+01:00", "a" * 64):
        yield text.encode()


def dns():
    def name(text):
        return b"".join(bytes([len(label)]) + label for label in text.encode().split(b".") if label) + b"\0"

    def record(owner, kind, data, lifetime=300):
        return owner + struct.pack(">HHIH", kind, 1, lifetime, len(data)) + data

    opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0x8000, 0)
    for text, kind in (("web", 1), ("WEB.example.com", 28), ("", 255), ("4.3.2.1.in-addr.arpa", 12),
                       ("1." + "0." * 31 + "ip6.arpa", 12), ("a" * 63 + ".b", 65)):
        question = name(text) + struct.pack(">HH", kind, 1)
        yield b"\0\x03" + struct.pack(">6H", 1, 0x120, 1, 0, 0, 0) + question
        yield b"\0\xff" + struct.pack(">6H", 1, 0x120, 1, 0, 0, 1) + question + opt
        here = b"\xc0\x0c"
        answers = record(here, 5, name("other.example")) + record(here, 1, b"\x0a\0\0\1") * 3
        yield b"\1\0" + struct.pack(">6H", 1, 0x8180, 1, 4, 0, 1) + question + answers + opt
        yield b"\1\0" + struct.pack(">6H", 1, 0x8180, 1, 84, 0, 1) + question + answers * 21 + opt
        authority = record(here, 6, here * 2 + struct.pack(">5I", 1, 2, 3, 4, 60))
        yield b"\1\0" + struct.pack(">6H", 1, 0x8183, 1, 0, 1, 1) + question + authority + opt


def main():
    target, directory = sys.argv[1:]
    for number, seed in enumerate(globals()[target]()):
        with open(os.path.join(directory, f"seed-{number}"), "wb") as file:
            file.write(seed)


main()
