/// A process of a container: its first one, or one executed later (config.md, Process).
public struct ProcessSpec: JSONObject, Equatable {
  public var terminal: Bool
  public var consoleSize: ConsoleSize?
  public var user: UserSpec
  /// The program and its arguments.
  public var args: [String]
  /// `NAME=value` each.
  public var env: [String]
  /// Absolute, inside the container.
  public var cwd: String
  /// None at all where nil.
  public var capabilities: LinuxCapabilities?
  public var rlimits: [POSIXRlimit]
  public var noNewPrivileges: Bool
  public var apparmorProfile: String
  /// Unchanged where nil.
  public var oomScoreAdj: Int?
  public var scheduler: Scheduler?
  public var selinuxLabel: String
  public var ioPriority: LinuxIOPriority?
  public var execCPUAffinity: CPUAffinity?

  public init(
    terminal: Bool = false, consoleSize: ConsoleSize? = nil, user: UserSpec = UserSpec(), args: [String] = [],
    env: [String] = [], cwd: String = "", capabilities: LinuxCapabilities? = nil, rlimits: [POSIXRlimit] = [],
    noNewPrivileges: Bool = false, apparmorProfile: String = "", oomScoreAdj: Int? = nil,
    scheduler: Scheduler? = nil, selinuxLabel: String = "", ioPriority: LinuxIOPriority? = nil,
    execCPUAffinity: CPUAffinity? = nil
  ) {
    self.terminal = terminal
    self.consoleSize = consoleSize
    self.user = user
    self.args = args
    self.env = env
    self.cwd = cwd
    self.capabilities = capabilities
    self.rlimits = rlimits
    self.noNewPrivileges = noNewPrivileges
    self.apparmorProfile = apparmorProfile
    self.oomScoreAdj = oomScoreAdj
    self.scheduler = scheduler
    self.selinuxLabel = selinuxLabel
    self.ioPriority = ioPriority
    self.execCPUAffinity = execCPUAffinity
  }

  public init() { self.init(terminal: false) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "terminal": try reader.read(&terminal)
    case "consoleSize": try reader.read(&consoleSize)
    case "user": try reader.read(&user)
    case "args": try reader.read(&args)
    case "env": try reader.read(&env)
    case "cwd": try reader.read(&cwd)
    case "capabilities": try reader.read(&capabilities)
    case "rlimits": try reader.read(&rlimits)
    case "noNewPrivileges": try reader.read(&noNewPrivileges)
    case "apparmorProfile": try reader.read(&apparmorProfile)
    case "oomScoreAdj": try reader.read(&oomScoreAdj)
    case "scheduler": try reader.read(&scheduler)
    case "selinuxLabel": try reader.read(&selinuxLabel)
    case "ioPriority": try reader.read(&ioPriority)
    case "execCPUAffinity": try reader.read(&execCPUAffinity)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("terminal", terminal)
    writer.putIfSet("consoleSize", consoleSize)
    writer.put("user", user)
    writer.putIfSet("args", args)
    writer.putIfSet("env", env)
    writer.put("cwd", cwd)
    writer.putIfSet("capabilities", capabilities)
    writer.putIfSet("rlimits", rlimits)
    writer.putIfSet("noNewPrivileges", noNewPrivileges)
    writer.putIfSet("apparmorProfile", apparmorProfile)
    writer.putIfSet("oomScoreAdj", oomScoreAdj)
    writer.putIfSet("scheduler", scheduler)
    writer.putIfSet("selinuxLabel", selinuxLabel)
    writer.putIfSet("ioPriority", ioPriority)
    writer.putIfSet("execCPUAffinity", execCPUAffinity)
  }
}

/// The size of a terminal in characters.
public struct ConsoleSize: JSONObject, Equatable {
  public var height: UInt32
  public var width: UInt32

  public init(height: UInt32 = 0, width: UInt32 = 0) {
    self.height = height
    self.width = width
  }

  public init() { self.init(height: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "height": try reader.read(&height)
    case "width": try reader.read(&width)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("height", height)
    writer.put("width", width)
  }
}

/// Who a process runs as (config.md, User).
public struct UserSpec: JSONObject, Equatable {
  public var uid: UInt32
  public var gid: UInt32
  /// Unchanged where nil.
  public var umask: UInt32?
  public var additionalGids: [UInt32]
  /// For Windows; kept so that nothing is lost in passing.
  public var username: String

  public init(
    uid: UInt32 = 0, gid: UInt32 = 0, umask: UInt32? = nil, additionalGids: [UInt32] = [],
    username: String = ""
  ) {
    self.uid = uid
    self.gid = gid
    self.umask = umask
    self.additionalGids = additionalGids
    self.username = username
  }

  public init() { self.init(uid: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "uid": try reader.read(&uid)
    case "gid": try reader.read(&gid)
    case "umask": try reader.read(&umask)
    case "additionalGids": try reader.read(&additionalGids)
    case "username": try reader.read(&username)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("uid", uid)
    writer.put("gid", gid)
    writer.putIfSet("umask", umask)
    writer.putIfSet("additionalGids", additionalGids)
    writer.putIfSet("username", username)
  }
}

/// The five capability sets of a process, by names such as `CAP_KILL` (capabilities(7)).
public struct LinuxCapabilities: JSONObject, Equatable {
  public var bounding: [String]
  public var effective: [String]
  public var inheritable: [String]
  public var permitted: [String]
  public var ambient: [String]

  public init(
    bounding: [String] = [], effective: [String] = [], inheritable: [String] = [], permitted: [String] = [],
    ambient: [String] = []
  ) {
    self.bounding = bounding
    self.effective = effective
    self.inheritable = inheritable
    self.permitted = permitted
    self.ambient = ambient
  }

  public init() { self.init(bounding: []) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "bounding": try reader.read(&bounding)
    case "effective": try reader.read(&effective)
    case "inheritable": try reader.read(&inheritable)
    case "permitted": try reader.read(&permitted)
    case "ambient": try reader.read(&ambient)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("bounding", bounding)
    writer.putIfSet("effective", effective)
    writer.putIfSet("inheritable", inheritable)
    writer.putIfSet("permitted", permitted)
    writer.putIfSet("ambient", ambient)
  }
}

/// One resource limit of a process (setrlimit(2)).
public struct POSIXRlimit: JSONObject, Equatable {
  /// Such as `RLIMIT_NOFILE`.
  public var type: String
  public var hard: UInt64
  public var soft: UInt64

  public init(type: String = "", hard: UInt64 = 0, soft: UInt64 = 0) {
    self.type = type
    self.hard = hard
    self.soft = soft
  }

  public init() { self.init(type: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "type": try reader.read(&type)
    case "hard": try reader.read(&hard)
    case "soft": try reader.read(&soft)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("type", type)
    writer.put("hard", hard)
    writer.put("soft", soft)
  }
}

/// How a process is scheduled (sched_setattr(2)).
public struct Scheduler: JSONObject, Equatable {
  /// Such as `SCHED_BATCH`.
  public var policy: String
  public var nice: Int32
  public var priority: Int32
  public var flags: [String]
  /// In nanoseconds, for `SCHED_DEADLINE`.
  public var runtime: UInt64
  /// In nanoseconds.
  public var deadline: UInt64
  /// In nanoseconds.
  public var period: UInt64

  public init(
    policy: String = "", nice: Int32 = 0, priority: Int32 = 0, flags: [String] = [], runtime: UInt64 = 0,
    deadline: UInt64 = 0, period: UInt64 = 0
  ) {
    self.policy = policy
    self.nice = nice
    self.priority = priority
    self.flags = flags
    self.runtime = runtime
    self.deadline = deadline
    self.period = period
  }

  public init() { self.init(policy: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "policy": try reader.read(&policy)
    case "nice": try reader.read(&nice)
    case "priority": try reader.read(&priority)
    case "flags": try reader.read(&flags)
    case "runtime": try reader.read(&runtime)
    case "deadline": try reader.read(&deadline)
    case "period": try reader.read(&period)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("policy", policy)
    writer.putIfSet("nice", nice)
    writer.putIfSet("priority", priority)
    writer.putIfSet("flags", flags)
    writer.putIfSet("runtime", runtime)
    writer.putIfSet("deadline", deadline)
    writer.putIfSet("period", period)
  }
}

/// The I/O priority of a process (ioprio_set(2)).
public struct LinuxIOPriority: JSONObject, Equatable {
  /// Such as `IOPRIO_CLASS_BE`.
  public var `class`: String
  /// From 0, the highest, to 7.
  public var priority: Int

  public init(`class`: String = "", priority: Int = 0) {
    self.`class` = `class`
    self.priority = priority
  }

  public init() { self.init(class: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "class": try reader.read(&`class`)
    case "priority": try reader.read(&priority)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("class", `class`)
    writer.put("priority", priority)
  }
}

/// The processors an executed process may use, as lists such as `0-3,7`.
public struct CPUAffinity: JSONObject, Equatable {
  /// Before it enters the cgroup.
  public var initial: String
  /// After it.
  public var final: String

  public init(initial: String = "", final: String = "") {
    self.initial = initial
    self.final = final
  }

  public init() { self.init(initial: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "initial": try reader.read(&initial)
    case "final": try reader.read(&final)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("initial", initial)
    writer.putIfSet("final", final)
  }
}
