import Linux
import RuntimeSpec

extension SeccompProfile {
  /// What an instance may call unless it says otherwise: an allow-list that covers what Docker's default covers
  /// (moby/profiles, `seccomp/default.json`), everything else answered with EPERM.
  static let standard = SeccompProfile(
    defaultAction: SeccompAction.errno, defaultErrnoRet: 1, architectureMap: standardArchitectures,
    rules: unconditionalRules + argumentRules + processorRules + capabilityRules)

  private static func calls(_ names: String) -> [String] { names.split(separator: " ").map(String.init) }

  private static let standardArchitectures: [Architecture] = [
    Architecture(name: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
    Architecture(name: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"]),
    Architecture(name: "SCMP_ARCH_MIPS64", subArchitectures: ["SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32"]),
    Architecture(name: "SCMP_ARCH_MIPS64N32", subArchitectures: ["SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64"]),
    Architecture(name: "SCMP_ARCH_MIPSEL64", subArchitectures: ["SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32"]),
    Architecture(name: "SCMP_ARCH_MIPSEL64N32", subArchitectures: ["SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64"]),
    Architecture(name: "SCMP_ARCH_S390X", subArchitectures: ["SCMP_ARCH_S390"]),
    Architecture(name: "SCMP_ARCH_RISCV64", subArchitectures: []),
    Architecture(name: "SCMP_ARCH_LOONGARCH64", subArchitectures: []),
  ]

  // MARK: For everybody

  /// One rule, for the compiler of the filter works per rule.
  private static let unconditionalRules: [Rule] = [
    Rule(names: everybodysCalls.flatMap(calls)),
    // Since 4.8 ptrace cannot be used to step around the filter.
    Rule(
      names: ["process_vm_readv", "process_vm_writev", "ptrace"],
      includes: Condition(kernel: KernelVersion(major: 4, minor: 8))),
  ]

  private static let everybodysCalls: [String] = [
    // The clock, timers and sleeping
    """
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep pause setitimer time timer_create \
    timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create \
    timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times
    """,
    // Memory
    """
    brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall \
    mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect \
    remap_file_pages
    """,
    // Waiting for descriptors, and notifications
    """
    _newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
    epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
    poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4
    """,
    // Asynchronous I/O
    """
    io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
    """,
    // Messages, semaphores, shared memory
    """
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 \
    mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt \
    shmget
    """,
    // Sockets
    """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 \
    recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
    """,
    // Signals
    """
    kill pidfd_open pidfd_send_signal restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo \
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask \
    sigreturn tgkill tkill
    """,
    // Scheduling
    """
    getcpu getpriority ioprio_get ioprio_set rseq sched_get_priority_max sched_get_priority_min \
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield \
    setpriority
    """,
    // Threads and futexes
    """
    futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area gettid \
    set_robust_list set_thread_area set_tid_address
    """,
    // Processes
    """
    execve execveat exit exit_group fork getpgid getpgrp getpid getppid getrandom getrlimit getrusage getsid \
    prctl prlimit64 process_mrelease riscv_hwprobe setpgid setrlimit setsid sysinfo ugetrlimit umask uname \
    uretprobe vfork wait4 waitid waitpid
    """,
    // Users, groups and capabilities
    """
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid \
    getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 \
    setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 \
    setuid setuid32
    """,
    // Confining oneself further
    """
    landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
    """,
    // Extended attributes
    """
    fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr \
    lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
    """,
    // Files
    """
    _llseek access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat \
    faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl \
    fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat \
    getcwd getdents getdents64 ioctl lchown lchown32 link linkat listmount lseek lstat lstat64 mkdir mkdirat \
    mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 \
    pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile \
    sendfile64 splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs \
    tee truncate truncate64 unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
    """,
  ]

  // MARK: By argument

  private static let argumentRules: [Rule] = socketRules + personalityRules + cloneRules

  /// Every address family but AF_ALG (38, kernel crypto) and AF_VSOCK (40, the way to a hypervisor).
  private static let socketRules: [Rule] = [
    Rule(names: ["socket"], arguments: [LinuxSeccompArgument(value: 38, op: "SCMP_CMP_LT")]),
    Rule(names: ["socket"], arguments: [LinuxSeccompArgument(value: 39, op: "SCMP_CMP_EQ")]),
    Rule(names: ["socket"], arguments: [LinuxSeccompArgument(value: 40, op: "SCMP_CMP_GT")]),
  ]

  /// PER_LINUX, PER_LINUX32, both with UNAME26, and "tell me which".
  private static let personalityRules: [Rule] = [0x0, 0x8, 0x20000, 0x20008, 0xffff_ffff].map { persona in
    Rule(names: ["personality"], arguments: [LinuxSeccompArgument(value: persona, op: "SCMP_CMP_EQ")])
  }

  /// CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP: without
  /// CAP_SYS_ADMIN no namespace is made. clone3 hides its flags in memory, so it does not exist then (ENOSYS) and the
  /// C library falls back to clone.
  private static let cloneRules: [Rule] = {
    let namespaces: UInt64 = 0x7e02_0000
    let mainframes = ["s390", "s390x"]
    return [
      Rule(
        names: ["clone"], arguments: [LinuxSeccompArgument(value: namespaces, op: "SCMP_CMP_MASKED_EQ")],
        excludes: Condition(capabilities: one("SYS_ADMIN"), architectures: mainframes)),
      // There the flags are the second argument.
      Rule(
        names: ["clone"], arguments: [LinuxSeccompArgument(index: 1, value: namespaces, op: "SCMP_CMP_MASKED_EQ")],
        includes: Condition(architectures: mainframes), excludes: Condition(capabilities: one("SYS_ADMIN"))),
      Rule(
        names: ["clone3"], action: SeccompAction.errno, errnoRet: 38,
        excludes: Condition(capabilities: one("SYS_ADMIN"))),
    ]
  }()

  // MARK: By processor

  private static let processorRules: [Rule] = [
    (["ppc64le"], "sync_file_range2 swapcontext"),
    (["arm", "arm64"], "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"),
    (["amd64", "x32"], "arch_prctl"),
    (["amd64", "x32", "386"], "modify_ldt"),
    (["s390", "s390x"], "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    (["riscv64"], "riscv_flush_icache"),
  ].map { Rule(names: calls($1), includes: Condition(architectures: $0)) }

  // MARK: By capability

  private static func one(_ name: String) -> Capabilities { Capabilities(named: name) ?? [] }

  private static let capabilityRules: [Rule] = [
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
      "SYS_ADMIN",
      """
      bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules \
      lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname \
      sethostname setns syslog umount umount2 unshare
      """
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module init_module finit_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("SYS_RAWIO", "iopl ioperm"),
    ("SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
  ].map { Rule(names: calls($1), includes: Condition(capabilities: one($0))) }
}
