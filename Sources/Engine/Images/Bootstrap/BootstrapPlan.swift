import Errors
import Glibc
import ImageSpec
import Linux

/// What `apus image bootstrap` was asked for, made precise.
struct BootstrapPlan: Sendable {
  let reference: Reference
  let distribution: BootstrapDistribution
  let suite: String
  /// Sorted, each once.
  let packages: [String]
  let initSystem: Bool

  /// For an image that boots: an init, what it needs to log in and to bring devices and a network up.
  static let initPackages = [
    "dbus", "iproute2", "kmod", "libpam-systemd", "procps", "systemd", "systemd-sysv", "udev",
  ]
  static let annotation = "io.apus.bootstrap"

  /// - Throws: `invalidArgument` for a name, suite or package that is none.
  init(reference text: String, suite: String?, include: [String], initSystem: Bool) throws(ApusError) {
    reference = try Reference(parsing: text).withDefaultTag
    guard reference.digest == nil else {
      throw ApusError(.invalidArgument, "an image that is to be made cannot be named by a digest: '\(text)'")
    }
    (distribution, self.suite) = try BootstrapDistribution.find(reference, suite: suite)
    var packages = Set(include.flatMap { $0.split { $0 == "," || $0.isWhitespace } }.map(String.init))
    for package in packages {
      let valid =
        package.utf8.count <= 128 && package.first.map { $0.isLetter || $0.isNumber } == true
        && package.utf8.allSatisfy {
          (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || [0x2b, 0x2d, 0x2e, 0x3a, 0x3d, 0x7e].contains($0)
        }
      guard valid else { throw ApusError(.invalidArgument, "'\(package.prefix(60))' is no package name") }
    }
    if initSystem { packages.formUnion(Self.initPackages) }
    self.packages = packages.sorted()
    self.initSystem = initSystem
  }

  /// Says what the image was made of, so that making it again can be skipped.
  var fingerprint: String {
    "suite=\(suite) architecture=\(Platform.host.architecture) include=\(packages.joined(separator: ","))"
      + (initSystem ? " init" : "")
  }

  /// `distribution/suite` for people.
  var title: String { "\(distribution.name) \(suite)" }

  var config: ImageConfiguration.Config {
    var config = ImageConfiguration.Config()
    config.env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    config.cmd = ["bash"]
    if initSystem {
      // What systemd expects of who starts it (systemd.io/CONTAINER_INTERFACE).
      config.env?.append("container=oci")
      config.cmd = ["/sbin/init"]
      config.stopSignal = "SIGRTMIN+3"
    }
    return config
  }

  // MARK: The command

  /// The program that makes the tree, on its standard output as a tar. Everything temporary is in a private mount
  /// namespace: it is gone with the last process, however that ends.
  func command(machine: BootstrapMachine) throws(ApusError) -> [String] {
    let sources = try distribution.sources(
      suite: suite, machine: machine.sources, keyringExists: { machine.exists($0) })
    var tool = [
      "mmdebstrap", "--mode=\(machine.isRoot ? "root" : "auto")", "--variant=minbase", "--format=tar", "--verbose",
      "--architectures=\(Platform.host.architecture)",
      // Nothing of it survives a crash anyway.
      "--dpkgopt=force-unsafe-io",
      "--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::PDiffs \"false\"",
    ]
    tool += machine.aptOptions.map { "--aptopt=\($0)" }
    // Without it the merged /usr is made by a package that brings all of Perl along.
    let hooks = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
    if machine.exists(hooks) { tool.append("--hook-dir=\(hooks)") }
    if !packages.isEmpty { tool.append("--include=\(packages.joined(separator: ","))") }
    tool.append("--customize-hook=" + Self.cleaning(initSystem: initSystem))
    tool += [suite, "-"] + sources

    let release = sources[0].split(separator: " ").first { $0.contains("://") }.map { "\($0)/dists/\(suite)/InRelease" }
    let script = Self.preparation(memory: machine.hasMemory && machine.isRoot)
    let shell = ["sh", "-c", script, "sh", release ?? ""] + tool
    return machine.isRoot ? ["unshare", "--mount", "--propagation", "private", "--"] + shell : shell
  }

  /// The time of the suite's last release is the time of everything in the image: the same packages give the same
  /// image, whenever it is made.
  private static func preparation(memory: Bool) -> String {
    """
    set -e
    url=$1; shift
    \(memory ? "mount -t tmpfs -o mode=1777 tmpfs /tmp" : "")
    list=$(mktemp -d)
    chmod 755 "$list"
    if /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$url" "$list/InRelease" >/dev/null 2>&1; then
      date=$(sed -n 's/^Date: //p' "$list/InRelease" | head -n 1)
      SOURCE_DATE_EPOCH=$(date -ud "$date" +%s 2>/dev/null) || SOURCE_DATE_EPOCH=
    fi
    rm -rf "$list"
    : "${SOURCE_DATE_EPOCH:=$(( $(date +%s) / 86400 * 86400 ))}"
    export SOURCE_DATE_EPOCH
    echo "apus: epoch $SOURCE_DATE_EPOCH" >&2
    exec "$@"
    """
  }

  /// What distributions' own container images leave out, and the settings that keep it out.
  private static func cleaning(initSystem: Bool) -> String {
    """
    set -e; cd "$1"
    rm -rf usr/share/man/* usr/share/info/* usr/share/groff/* usr/share/lintian/* usr/share/linda/*
    find usr/share/locale -mindepth 1 -maxdepth 1 ! -name locale.alias -exec rm -rf {} +
    find usr/share/doc -type f ! -name copyright -delete
    find usr/share/doc -type l ! -name copyright -delete
    find usr/share/doc -mindepth 1 -type d -empty -delete
    printf 'path-exclude /usr/share/%s\\n' 'doc/*' 'man/*' 'info/*' 'groff/*' 'lintian/*' 'linda/*' 'locale/*' \
      > etc/dpkg/dpkg.cfg.d/container
    printf 'path-include /usr/share/%s\\n' 'doc/*/copyright' 'locale/locale.alias' >> etc/dpkg/dpkg.cfg.d/container
    echo force-unsafe-io >> etc/dpkg/dpkg.cfg.d/container
    printf '%s\\n' 'Acquire::Languages "none";' 'Acquire::GzipIndexes "true";' \
      'APT::AutoRemove::SuggestsImportant "false";' 'APT::Keep-Downloaded-Packages "false";' \
      > etc/apt/apt.conf.d/90container
    rm -f etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap
    rm -f var/log/dpkg.log var/log/alternatives.log var/log/bootstrap.log var/log/apt/* var/cache/ldconfig/aux-cache \
      var/cache/debconf/*-old var/lib/dpkg/*-old var/lib/systemd/catalog/database
    for file in etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid- etc/subgid-; do rm -f "$file"; done
    rm -f etc/resolv.conf etc/hostname; : > etc/resolv.conf; echo localhost > etc/hostname
    \(initSystem
      ? ": > etc/machine-id; rm -f var/lib/dbus/machine-id"
      : "rm -f etc/machine-id; printf '#!/bin/sh\\nexit 101\\n' > usr/sbin/policy-rc.d; chmod 755 usr/sbin/policy-rc.d")
    """
  }
}

/// What the machine offers for a bootstrap.
struct BootstrapMachine: Sendable {
  var sources: [AptSource] = []
  /// `Name "value"` of the machine's apt settings that say how packages are reached.
  var aptOptions: [String] = []
  var isRoot = true
  /// Enough is free to make the tree in memory.
  var hasMemory = true
  var exists: @Sendable (String) -> Bool = { Files.exists($0) }

  static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  static func program(_ name: String) -> String? {
    path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }

  /// Reads the machine's settings. Blocks.
  static func current() -> BootstrapMachine {
    var machine = BootstrapMachine()
    machine.isRoot = geteuid() == 0
    var files = ["/etc/apt/sources.list"]
    let directory = "/etc/apt/sources.list.d"
    if let open = try? Files.open(directory, flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC),
      let entries = try? Files.entries(of: open.raw)
    {
      files += entries.map { "\(directory)/\($0.name)" }.filter { $0.hasSuffix(".list") || $0.hasSuffix(".sources") }
        .sorted()
    }
    for file in files {
      guard let bytes = try? Files.read(file, limit: 1 << 20) else { continue }
      machine.sources += AptSource.parse(String(decoding: bytes, as: UTF8.self), isDeb822: file.hasSuffix(".sources"))
    }
    if let text = try? Files.read("/proc/meminfo", limit: 64 << 10) {
      let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
      let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
      machine.hasMemory = kibibytes > 2 << 20
    }
    return machine
  }

  /// How the machine's apt reaches its mirrors, from `apt-config dump`.
  static func aptOptions(dump: String) -> [String] {
    let wanted = ["Acquire::http::", "Acquire::https::", "Acquire::Check-Valid-Until", "Acquire::Check-Date"]
    return dump.split(separator: "\n").map(String.init).filter { line in
      wanted.contains { line.hasPrefix($0) } && line.hasSuffix("\";") && !line.hasSuffix("\"\";")
    }.map { String($0.dropLast()) }
  }
}
