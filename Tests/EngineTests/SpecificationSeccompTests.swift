import Errors
import Linux
import RuntimeSpec
import Testing

@testable import Engine

@Suite struct SpecificationSeccompTests {
  /// What Docker's default allows everybody without looking at arguments.
  private static let everybody = """
    _llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown \
    chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
    clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 \
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old \
    eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate \
    fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr \
    flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate \
    ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list \
    get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 \
    getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
    getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday \
    getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel \
    io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set \
    ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link \
    linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise \
    map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 \
    mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 \
    mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall \
    munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe \
    pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 \
    process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv \
    recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat \
    renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo \
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max \
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler \
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile \
    sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 \
    setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 \
    setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 \
    setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn \
    socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync \
    sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime \
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 \
    timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat \
    uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
    """

  private func standard(_ capabilities: Capabilities, _ change: (inout HostFacts) -> Void = { _ in }) -> LinuxSeccomp {
    var host = HostFacts.example
    change(&host)
    return SeccompProfile.standard.section(capabilities: capabilities, host: host)
  }

  private func allowed(_ section: LinuxSeccomp) -> Set<String> {
    Set(section.syscalls.filter { $0.action == "SCMP_ACT_ALLOW" && $0.args.isEmpty }.flatMap(\.names))
  }

  @Test func coversWhatDockerAllows() {
    let expected = Self.everybody.split(separator: " ").map(String.init)
    let section = standard(CapabilityChoice.standard)
    #expect(section.syscalls.first?.names.count == expected.count)
    #expect(Set(section.syscalls.first?.names ?? []) == Set(expected))
    let further = allowed(section).subtracting(expected)
    #expect(further == ["process_vm_readv", "process_vm_writev", "ptrace", "arch_prctl", "modify_ldt", "chroot"])
    #expect(section.defaultAction == "SCMP_ACT_ERRNO" && section.defaultErrnoRet == 1)
    #expect(section.architectures == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
  }

  @Test func dangerousCallsNeedTheirCapability() {
    let plain = allowed(standard(CapabilityChoice.standard))
    let calls = [
      "SYS_ADMIN": "mount", "SYS_BOOT": "reboot", "SYS_MODULE": "init_module", "SYS_TIME": "clock_settime",
      "BPF": "bpf",
      "SYS_RAWIO": "iopl", "PERFMON": "perf_event_open", "SYS_NICE": "mbind", "SYS_PACCT": "acct", "SYSLOG": "syslog",
      "SYS_TTY_CONFIG": "vhangup", "DAC_READ_SEARCH": "open_by_handle_at", "SYS_PTRACE": "kcmp",
    ]
    for (capability, call) in calls {
      #expect(!plain.contains(call), "\(call)")
      #expect(allowed(standard(Capabilities(named: capability) ?? [])).contains(call), "\(call)")
    }
    for call in [
      "keyctl", "add_key", "kexec_load", "io_uring_setup", "userfaultfd", "pivot_root", "swapon", "nfsservctl",
    ] {
      #expect(!allowed(standard(.all)).contains(call), "\(call)")
    }
  }

  @Test func namespacesNeedAdministration() {
    let plain = standard(CapabilityChoice.standard)
    let clone = plain.syscalls.first { $0.names == ["clone"] }
    #expect(clone?.args == [LinuxSeccompArgument(index: 0, value: 0x7e02_0000, op: "SCMP_CMP_MASKED_EQ")])
    let clone3 = plain.syscalls.first { $0.names == ["clone3"] }
    #expect(clone3?.action == "SCMP_ACT_ERRNO" && clone3?.errnoRet == 38)
    let all = standard(.all)
    #expect(!all.syscalls.contains { $0.names == ["clone3"] || $0.names == ["clone"] })
    #expect(allowed(all).isSuperset(of: ["clone", "clone3", "unshare", "setns"]))
  }

  @Test func argumentsAreLookedAt() {
    let section = standard(CapabilityChoice.standard)
    let sockets = section.syscalls.filter { $0.names == ["socket"] }.flatMap(\.args)
    #expect(sockets.map(\.value) == [38, 39, 40])
    #expect(sockets.map(\.op) == ["SCMP_CMP_LT", "SCMP_CMP_EQ", "SCMP_CMP_GT"])
    #expect(section.syscalls.filter { $0.names == ["personality"] }.count == 5)
  }

  @Test func processorsAndKernelsDiffer() {
    let arm = standard([]) { $0.architecture = "arm64" }
    #expect(arm.architectures == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
    #expect(allowed(arm).contains("cacheflush") && !allowed(arm).contains("arch_prctl"))
    let mainframe = standard([]) { $0.architecture = "s390x" }
    #expect(mainframe.syscalls.first { $0.names == ["clone"] }?.args.first?.index == 1)
    #expect(!allowed(standard([]) { $0.kernel = KernelVersion(major: 4, minor: 7) }).contains("ptrace"))
  }

  @Test func cacheGivesEqualSections() {
    let cache = SeccompCache()
    #expect(
      cache.section(capabilities: [], host: .example).json() == cache.section(capabilities: [], host: .example).json())
  }

  @Test func documentsInDockersForm() throws {
    let profile = try SeccompProfile(
      document: """
        {"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
         "syscalls":[
          {"name":"read","action":"SCMP_ACT_ALLOW","args":null},
          {"names":["write","open"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]},"comment":"x"},
          {"names":["mount"],"action":"SCMP_ACT_LOG","excludes":{"minKernel":"5.0"}},
          {"names":["never"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_OF_TOMORROW"]}},
          {"names":["args"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":2,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}
         ]}
        """)
    let plain = profile.section(capabilities: [], host: .example)
    #expect(plain.syscalls.map(\.names) == [["read"], ["args"]])
    #expect(plain.architectures == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
    #expect(plain.syscalls.last?.args.first?.valueTwo == 3)
    let all = profile.section(capabilities: .all, host: .example)
    #expect(all.syscalls.map(\.names) == [["read"], ["write", "open"], ["args"]])
  }

  @Test func documentsInTheSpecificationsForm() throws {
    let profile = try SeccompProfile(
      document: """
        {"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"flags":["SECCOMP_FILTER_FLAG_LOG"],
         "syscalls":[{"names":["chmod"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}
        """)
    let section = profile.section(capabilities: [], host: .example)
    #expect(section.architectures == ["SCMP_ARCH_X86_64"])
    #expect(section.flags == ["SECCOMP_FILTER_FLAG_LOG"])
    #expect(section.syscalls == [LinuxSyscall(names: ["chmod"], action: "SCMP_ACT_ERRNO", errnoRet: 13)])
  }

  @Test(arguments: [
    "", "[]", "{", #"{"defaultAction":5}"#, #"{"defaultAction":"ALLOW"}"#, #"{"syscalls":[{"names":["x"]}]}"#,
    #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"name":"y","action":"SCMP_ACT_ALLOW"}]}"#,
    #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"action":"NO"}]}"#,
    #"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["a"],"archMap":[{"architecture":"b"}]}"#,
    #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"x"}}]}"#,
    String(repeating: "[", count: 100_000),
  ])
  func malformedDocumentsAreRefused(_ document: String) {
    let error = #expect(throws: ApusError.self) { try SeccompProfile(document: document) }
    #expect(error?.code == .invalidArgument)
  }
}
