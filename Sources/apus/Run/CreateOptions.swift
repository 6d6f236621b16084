import ArgumentParser

/// The options that `run` and `create` share, with Docker's names.
struct CreateOptions: ParsableArguments {
  static let flags =
    "interactive i tty t rm init vm quiet q oom-kill-disable privileged read-only disable-content-trust publish-all P "
    + "no-healthcheck"

  @OptionGroup var frequent: FrequentOptions
  @OptionGroup var rare: RareOptions
}

/// Those that most command lines have and no other. A command of these alone is read in a third of the time that all the
/// options take (docs/decisions/0020).
struct FrequentOptions: ParsableArguments {
  @OptionGroup var process: ProcessOptions

  @Option(help: .init("Give the container a name.", valueName: "name"))
  var name: String?
  @Flag(help: "Remove the container when it exits.")
  var rm = false
  @Option(
    name: .shortAndLong, help: .init("Mount a directory or a volume.", valueName: "source:target[:mode]"),
    completion: .file())
  var volume: [String] = []
  @Option(name: .shortAndLong, help: .init("Publish a port.", valueName: "[[ip:]port:]port[/protocol]"))
  var publish: [String] = []
  @Option(
    name: [.long, .customLong("net")],
    help: .init("Network to join, or container:NAME, host, none.", valueName: "network|name=network,…"),
    completion: .networks)
  var network: [String] = []
}

/// All the others.
struct RareOptions: ParsableArguments {
  @OptionGroup var program: ProgramOptions
  @OptionGroup var storage: StorageOptions
  @OptionGroup var limits: LimitOptions
  @OptionGroup var security: SecurityOptions
  @OptionGroup var network: NetworkOptions
  @OptionGroup var health: HealthOptions

  @Option(
    name: .shortAndLong, help: .init("Attach to stdin, stdout or stderr.", valueName: "stream"),
    completion: .list(["stdin", "stdout", "stderr"]))
  var attach: [String] = []
  @Option(
    help: .init("What to do when the program ends: no, on-failure[:max], always, unless-stopped.", valueName: "policy"),
    completion: .list(["no", "on-failure", "always", "unless-stopped"]))
  var restart: String?
  @Option(help: .init("Write the container's id to a new file.", valueName: "file"), completion: .file())
  var cidfile: String?
  @Option(help: .init("Platform of the image.", valueName: "os/arch"))
  var platform: String?
  @Option(
    help: .init("Pull the image: always, missing or never.", valueName: "when"),
    completion: .list(["always", "missing", "never"]))
  var pull = "missing"
  @Flag(name: .shortAndLong, help: "Do not show the progress of a pull.")
  var quiet = false
  @Option(
    help: .init("What isolates the instance: container or vm.", valueName: "kind"),
    completion: .list(["container", "vm"]))
  var isolation: String?
  @Flag(help: "The same as --isolation vm.")
  var vm = false
  @Option(help: .init("Runtime to use.", valueName: "name"))
  var runtime: String?
  @Option(
    help: .init("Where output goes.", valueName: "driver"), completion: .list(["json-file", "local", "none"]))
  var logDriver: String?
  @Option(help: .init("Option of the log driver.", valueName: "key=value"))
  var logOpt: [String] = []
  @Flag(help: .hidden)
  var disableContentTrust = false
}

/// The program in the container, as `exec` has it too.
struct ProcessOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "Keep standard input open even if not attached.")
  var interactive = false
  @Flag(name: .shortAndLong, help: "Give the program a terminal.")
  var tty = false
  @Option(
    name: .shortAndLong,
    help: .init("Set an environment variable; a name alone takes the value from here.", valueName: "key=value"))
  var env: [String] = []
  @Option(help: .init("Read environment variables from a file.", valueName: "file"), completion: .file())
  var envFile: [String] = []
  @Option(name: .shortAndLong, help: .init("Working directory in the container.", valueName: "directory"))
  var workdir: String?
  @Option(name: .shortAndLong, help: .init("User, by name or number.", valueName: "user[:group]"))
  var user: String?
}

struct ProgramOptions: ParsableArguments {
  @Option(help: .init("Add a supplementary group.", valueName: "group"))
  var groupAdd: [String] = []
  @Option(help: .init("Replace the image's entrypoint.", valueName: "program"))
  var entrypoint: String?
  @Option(name: .shortAndLong, help: .init("Set a label.", valueName: "key=value"))
  var label: [String] = []
  @Option(help: .init("Read labels from a file.", valueName: "file"), completion: .file())
  var labelFile: [String] = []
  @Option(help: .init("Set an OCI annotation.", valueName: "key=value"))
  var annotation: [String] = []
  @Flag(name: .customLong("init"), help: "Run an init that reaps processes and forwards signals.")
  var useInit = false
  @Option(help: .init("Signal that asks the program to stop.", valueName: "signal"))
  var stopSignal: String?
  @Option(help: .init("Seconds before a stop becomes a kill.", valueName: "seconds"))
  var stopTimeout: Int?
}

struct StorageOptions: ParsableArguments {
  @Option(help: .init("Mount a directory, a volume or a tmpfs, spelled out.", valueName: "type=…,source=…,target=…"))
  var mount: [String] = []
  @Option(help: .init("Mount a tmpfs.", valueName: "target[:options]"))
  var tmpfs: [String] = []
  @Option(help: .init("Mount what another container has mounted.", valueName: "container"), completion: .containers)
  var volumesFrom: [String] = []
  @Option(help: .init("Driver of the volumes this container makes.", valueName: "driver"))
  var volumeDriver: String?
  @Option(help: .init("Option of the storage.", valueName: "key=value"))
  var storageOpt: [String] = []
}

/// The limits that `update` can change.
struct UpdatableLimits: ParsableArguments {
  @Option(name: .shortAndLong, help: .init("Memory limit.", valueName: "bytes"))
  var memory: String?
  @Option(help: .init("Memory and swap together; -1 is no limit.", valueName: "bytes"))
  var memorySwap: String?
  @Option(help: .init("Memory to leave when memory gets scarce.", valueName: "bytes"))
  var memoryReservation: String?
  @Option(help: .hidden)
  var kernelMemory: String?
  @Option(help: .init("Number of CPUs, such as 1.5.", valueName: "number"))
  var cpus: String?
  @Option(name: [.customShort("c"), .long], help: .init("Weight among others.", valueName: "number"))
  var cpuShares: Int?
  @Option(help: .init("Period of the CPU quota.", valueName: "microseconds"))
  var cpuPeriod: Int?
  @Option(help: .init("CPU time in a period.", valueName: "microseconds"))
  var cpuQuota: Int?
  @Option(help: .init("Period of the real-time budget.", valueName: "microseconds"))
  var cpuRtPeriod: Int?
  @Option(help: .init("Real-time budget in a period.", valueName: "microseconds"))
  var cpuRtRuntime: Int?
  @Option(help: .init("CPUs to run on, such as 0-2,4.", valueName: "list"))
  var cpusetCpus: String?
  @Option(help: .init("Memory nodes to use.", valueName: "list"))
  var cpusetMems: String?
  @Option(help: .init("Most processes at once; -1 is no limit.", valueName: "number"))
  var pidsLimit: Int?
  @Option(help: .init("Weight of disk access among others.", valueName: "10-1000"))
  var blkioWeight: Int?
}

struct LimitOptions: ParsableArguments {
  @OptionGroup var updatable: UpdatableLimits

  @Option(help: .init("Readiness to swap.", valueName: "0-100"))
  var memorySwappiness: Int?
  @Option(help: .init("Weight on one device.", valueName: "device:weight"))
  var blkioWeightDevice: [String] = []
  @Option(help: .init("Limit of bytes read a second.", valueName: "device:rate"))
  var deviceReadBps: [String] = []
  @Option(help: .init("Limit of bytes written a second.", valueName: "device:rate"))
  var deviceWriteBps: [String] = []
  @Option(help: .init("Limit of reads a second.", valueName: "device:rate"))
  var deviceReadIops: [String] = []
  @Option(help: .init("Limit of writes a second.", valueName: "device:rate"))
  var deviceWriteIops: [String] = []
  @Option(help: .init("Resource limit of each process.", valueName: "name=soft[:hard]"))
  var ulimit: [String] = []
  @Option(help: .init("Size of /dev/shm.", valueName: "bytes"))
  var shmSize: String?
  @Flag(help: "Do not kill when memory runs out.")
  var oomKillDisable = false
  @Option(help: .init("Preference to be killed when the host's memory runs out.", valueName: "number"))
  var oomScoreAdj: Int?
  @Option(help: .init("Parent of the container's cgroup.", valueName: "path"))
  var cgroupParent: String?
}

struct SecurityOptions: ParsableArguments {
  @Flag(help: "All capabilities and devices, no seccomp filter.")
  var privileged = false
  @Option(help: .init("Add a capability.", valueName: "capability"))
  var capAdd: [String] = []
  @Option(help: .init("Drop a capability.", valueName: "capability"))
  var capDrop: [String] = []
  @Option(help: .init("seccomp=file|unconfined, no-new-privileges, apparmor=….", valueName: "option"))
  var securityOpt: [String] = []
  @Flag(help: "Make the root file system read-only.")
  var readOnly = false
  @Option(help: .init("Give the container a device.", valueName: "device[:target[:rwm]]"), completion: .file())
  var device: [String] = []
  @Option(help: .init("Allow devices by rule, such as 'c 1:* rwm'.", valueName: "rule"))
  var deviceCgroupRule: [String] = []
  @Option(help: .init("Give the container GPUs.", valueName: "request"))
  var gpus: String?
  @Option(help: .init("Set a kernel parameter of the container's namespaces.", valueName: "key=value"))
  var sysctl: [String] = []
  @Option(help: .init("User namespace.", valueName: "mode"))
  var userns: String?
  @Option(help: .init("PID namespace: host or container:name.", valueName: "mode"))
  var pid: String?
  @Option(help: .init("IPC namespace: private, shareable, host, none or container:name.", valueName: "mode"))
  var ipc: String?
  @Option(help: .init("UTS namespace: host.", valueName: "mode"))
  var uts: String?
  @Option(help: .init("Cgroup namespace: private or host.", valueName: "mode"))
  var cgroupns: String?
}

struct NetworkOptions: ParsableArguments {
  @Option(name: [.customShort("h"), .long], help: .init("Host name in the container.", valueName: "name"))
  var hostname: String?
  @Option(help: .init("NIS domain name in the container.", valueName: "name"))
  var domainname: String?
  @Option(
    name: [.long, .customLong("net-alias")], help: .init("Another name on the network.", valueName: "name"))
  var networkAlias: [String] = []
  @Flag(name: [.customShort("P"), .long], help: "Publish every exposed port.")
  var publishAll = false
  @Option(help: .init("Expose a port.", valueName: "port[-port][/protocol]"))
  var expose: [String] = []
  @Option(help: .init("IPv4 address in the first network.", valueName: "address"))
  var ip: String?
  @Option(help: .init("IPv6 address in the first network.", valueName: "address"))
  var ip6: String?
  @Option(help: .init("Link-local address.", valueName: "address"))
  var linkLocalIp: [String] = []
  @Option(help: .init("Ethernet address.", valueName: "address"))
  var macAddress: String?
  @Option(
    help: .init("Most traffic in the first network, in bits a second.", valueName: "ingress=10mbit,egress=5mbit"))
  var networkRate: String?
  @Option(
    help: .init("Know another container by a name of one's own.", valueName: "container[:alias]"),
    completion: .containers)
  var link: [String] = []
  @Option(help: .init("Name server.", valueName: "address"))
  var dns: [String] = []
  @Option(name: [.long, .customLong("dns-opt")], help: .init("Resolver option.", valueName: "option"))
  var dnsOption: [String] = []
  @Option(help: .init("Search domain.", valueName: "domain"))
  var dnsSearch: [String] = []
  @Option(
    help: .init("Add a line to /etc/hosts; host-gateway is the host's address.", valueName: "name:address"))
  var addHost: [String] = []
}

struct HealthOptions: ParsableArguments {
  @Option(help: .init("Command that tells whether the program is healthy.", valueName: "command"))
  var healthCmd: String?
  @Option(help: .init("Time between checks.", valueName: "duration"))
  var healthInterval: String?
  @Option(help: .init("Time one check may take.", valueName: "duration"))
  var healthTimeout: String?
  @Option(help: .init("Failures in a row before it is unhealthy.", valueName: "number"))
  var healthRetries: Int?
  @Option(help: .init("Time the program has to start.", valueName: "duration"))
  var healthStartPeriod: String?
  @Option(help: .init("Time between checks while it starts.", valueName: "duration"))
  var healthStartInterval: String?
  @Flag(help: "Run no health checks, whatever the image says.")
  var noHealthcheck = false
}
