"""The image that the tests run: a static busybox, nothing else."""

import io
import os
import pathlib
import subprocess
import tarfile

from engines import BINARIES, Client, Engine

APPLETS = """[ awk basename cat chgrp chmod chown cp cut date dd df dirname du echo env expr false find free grep head
hostname id ip kill ln ls md5sum mkdir mkfifo mknod more mount mv nc nproc nohup od printf ps pwd readlink rm rmdir sed
seq setsid sh sha256sum sleep sort stat stty su sync sysctl tail tar tee test timeout top touch tr true tty umount uname
uniq usleep vi wc which whoami xargs yes""".split()

PASSWD = """root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
"""
GROUP = """root:x:0:
app:x:1000:
extra:x:2000:app
nogroup:x:65534:
"""


def cache():
    """Where what takes long to make is kept between sessions."""
    path = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "apus-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path


def busybox():
    """A static busybox: the machine's, or Debian's package unpacked into the cache."""
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(path) and b"dynamically" not in subprocess.run(
                ["file", "-L", path], capture_output=True, check=False).stdout:
            return path
    path = cache() / "bin" / "busybox"
    if not path.exists():
        subprocess.run(["apt-get", "download", "-q", "busybox-static"], cwd=cache(), check=True, capture_output=True)
        package = next(cache().glob("busybox-static_*.deb"))
        subprocess.run(["dpkg", "-x", package, cache()], check=True)
    return str(path)


def archive(extra=()):
    """A root directory as the bytes of a tar. `extra`: more entries, as pairs of TarInfo and bytes."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def directory(name, mode=0o755, owner=0):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, owner
            tar.addfile(info)

        def file(name, data, mode=0o644):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))

        for name in ("bin", "etc", "root", "home", "proc", "sys", "dev", "run", "data"):
            directory(name)
        directory("tmp", 0o1777)
        directory("home/app", 0o755, 1000)
        file("bin/busybox", pathlib.Path(busybox()).read_bytes(), 0o755)
        for name in APPLETS:
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        file("etc/passwd", PASSWD.encode())
        file("etc/group", GROUP.encode())
        file("etc/plain", b"not a program\n")
        file("data/seed", b"from the image\n")
        for info, data in extra:
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    return output.getvalue()


def load(engine):
    """Gives the image to an engine."""
    answer = engine.request(
        "POST",
        "/images/create?fromSrc=-&repo=busybox&tag=test&changes=CMD%20%5B%22sh%22%5D"
        "&changes=ENV%20PATH%3D/usr/bin%3A/bin", archive(), {"Content-Type": "application/x-tar"})
    assert answer.status == 200 and b"error" not in answer.body, answer.body
    return engine


def load_debian(engine, reference, name, *packages):
    """Gives an image of Debian 12 to an engine: made from the machine's package mirror once, and kept in the cache.

    An engine of its own makes it, on the machine's own network.
    """
    saved = cache() / f"{name}.tar"
    if not saved.exists():
        maker = Engine()
        try:
            apus = Client(maker.start(), BINARIES / "apus")
            more = ["--include", ",".join(packages)] if packages else []
            apus("image", "bootstrap", "debian:12", *more, timeout=900)
            if reference != "debian:12":
                apus("tag", "debian:12", reference)
            partial = saved.with_suffix(".part")
            apus("save", "-o", str(partial), reference, timeout=300)
            partial.rename(saved)
        finally:
            maker.close()
    Client(engine, BINARIES / "apus")("load", "-q", "-i", str(saved), timeout=300)
    return reference
