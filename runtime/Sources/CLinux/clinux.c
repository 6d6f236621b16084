#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// Numbers are the same on every architecture for the calls added since Linux 5.1.
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

void clinux_forget_code(void) {
  // The linker's names for where the file begins in memory, and its code ends.
  extern char __executable_start[], etext[];
  uintptr_t page = 4096, first = (uintptr_t)__executable_start & ~(page - 1), last = (uintptr_t)etext & ~(page - 1);
  madvise((void *)first, last - first, MADV_DONTNEED);
}

int clinux_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
  long result;
  // EAGAIN: a rename or mount raced with the walk and RESOLVE_IN_ROOT could not be proven; a bounded number of retries.
  for (int attempt = 0; attempt < 128; attempt++) {
    result = syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (result >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  return (int)result;
}

int clinux_close_range(unsigned first, unsigned last, unsigned flags) {
  return (int)syscall(SYS_close_range, first, last, flags);
}

int clinux_fcntl(int descriptor, int command, long argument) { return fcntl(descriptor, command, argument); }

uint64_t clinux_makedev(unsigned major, unsigned minor) { return makedev(major, minor); }
unsigned clinux_major(uint64_t device) { return major(device); }
unsigned clinux_minor(uint64_t device) { return minor(device); }

int clinux_fsopen(const char *type, unsigned flags) { return (int)syscall(SYS_fsopen, type, flags); }

int clinux_fsconfig(int context, unsigned command, const char *key, const void *value, int extra) {
  return (int)syscall(SYS_fsconfig, context, command, key, value, extra);
}

int clinux_fsmount(int context, unsigned flags, unsigned attributes) {
  return (int)syscall(SYS_fsmount, context, flags, attributes);
}

int clinux_open_tree(int directory, const char *path, unsigned flags) {
  return (int)syscall(SYS_open_tree, directory, path, flags);
}

int clinux_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) {
  return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}

int clinux_mount_setattr(
    int directory, const char *path, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation, int user_namespace) {
  struct {
    uint64_t set, clear, propagation, user_namespace;
  } attributes = {set, clear, propagation, user_namespace < 0 ? 0 : (uint64_t)user_namespace};
  return (int)syscall(SYS_mount_setattr, directory, path, flags, &attributes, sizeof attributes);
}

int clinux_pivot_root(const char *new_root, const char *put_old) {
  return (int)syscall(SYS_pivot_root, new_root, put_old);
}

// struct clone_args up to CLONE_INTO_CGROUP (Linux 5.7); declared here because linux/sched.h and sched.h clash.
struct clinux_clone_args {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

pid_t clinux_clone3(uint64_t flags, int *pidfd, int exit_signal, int cgroup) {
  struct clinux_clone_args arguments = {.flags = flags, .exit_signal = (uint64_t)exit_signal};
  if (pidfd) {
    arguments.flags |= 0x00001000;  // CLONE_PIDFD
    arguments.pidfd = (uint64_t)(uintptr_t)pidfd;
  }
  if (cgroup >= 0) {
    arguments.flags |= 0x200000000ULL;  // CLONE_INTO_CGROUP
    arguments.cgroup = (uint64_t)cgroup;
  }
  return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

int clinux_pidfd_open(pid_t process, unsigned flags) { return (int)syscall(SYS_pidfd_open, process, flags); }

int clinux_pidfd_send_signal(int pidfd, int signal, unsigned flags) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, flags);
}

int clinux_pidfd_getfd(int pidfd, int descriptor) { return (int)syscall(SYS_pidfd_getfd, pidfd, descriptor, 0); }

int clinux_setns(int descriptor, int kinds) { return setns(descriptor, kinds); }
int clinux_unshare(int kinds) { return unshare(kinds); }

int clinux_wait_process(pid_t process, bool no_hang, int *status) {
  for (;;) {
    pid_t found = waitpid(process, status, no_hang ? WNOHANG : 0);
    if (found < 0 && errno == EINTR) continue;
    return found < 0 ? -1 : found > 0;
  }
}

int clinux_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  return prctl(option, a, b, c, d);
}

// The raw calls: glibc's wrappers signal every thread it believes to exist, which a clone3 child must not do.
int clinux_setresuid(uid_t user) { return (int)syscall(SYS_setresuid, user, user, user); }
int clinux_setresgid(gid_t group) { return (int)syscall(SYS_setresgid, group, group, group); }
void clinux_setfsids(uid_t user, gid_t group) {
  syscall(SYS_setfsgid, group);
  syscall(SYS_setfsuid, user);
}
int clinux_setgroups(size_t count, const gid_t *groups) { return (int)syscall(SYS_setgroups, count, groups); }

int clinux_prlimit(
    pid_t process, int resource, const uint64_t *soft, const uint64_t *hard, uint64_t *old_soft, uint64_t *old_hard) {
  struct rlimit64 new_limit = {0}, old_limit = {0};
  if (soft && hard) {
    new_limit.rlim_cur = *soft;
    new_limit.rlim_max = *hard;
  }
  int result = (int)syscall(SYS_prlimit64, process, resource, soft && hard ? &new_limit : NULL, &old_limit);
  if (old_soft) *old_soft = old_limit.rlim_cur;
  if (old_hard) *old_hard = old_limit.rlim_max;
  return result;
}

long clinux_join_session_keyring(const char *name) { return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name); }

int clinux_sched_setattr(
    unsigned policy, uint64_t flags, int nice, unsigned priority, uint64_t runtime, uint64_t deadline, uint64_t period) {
  // struct sched_attr in its first size; linux/sched/types.h and sched.h clash.
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {sizeof attributes, policy, flags, nice, priority, runtime, deadline, period};
  return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int clinux_sched_setaffinity(const uint8_t *mask, size_t size) {
  return (int)syscall(SYS_sched_setaffinity, 0, size, mask);
}

int clinux_set_memory_policy(int mode, const uint8_t *nodes, unsigned long count) {
  return (int)syscall(SYS_set_mempolicy, mode, count ? nodes : NULL, count ? count + 1 : 0);
}

int clinux_personality(unsigned long domain) { return (int)syscall(SYS_personality, domain); }

int clinux_execveat(int descriptor, char *const *arguments, char *const *environment) {
  return (int)syscall(SYS_execveat, descriptor, "", arguments, environment, AT_EMPTY_PATH);
}

int clinux_ioprio_set(int priority_class, int level) {
  return (int)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(priority_class, level));
}

void clinux_reset_signals(void) {
  // The raw calls: glibc does not let anybody touch its two internal real-time signals, which its posix_spawn leaves
  // ignored. The kernel's struct begins with the handler, and all zero is the default action.
  uint64_t action[4] = {0}, none = 0;
  for (int number = 1; number <= 64; number++)
    if (number != SIGKILL && number != SIGSTOP) syscall(SYS_rt_sigaction, number, action, NULL, sizeof none);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

static void signal_set(sigset_t *set, const int *signals, size_t count) {
  sigemptyset(set);
  for (size_t index = 0; index < count; index++) sigaddset(set, signals[index]);
}

int clinux_block_signals(const int *signals, size_t count, bool block) {
  sigset_t set;
  signal_set(&set, signals, count);
  return sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int clinux_signalfd(const int *signals, size_t count) {
  sigset_t set;
  signal_set(&set, signals, count);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void clinux_exit(int status) { _exit(status); }

int clinux_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {
      {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
      {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
  };
  return (int)syscall(SYS_capset, &header, data);
}

int clinux_capget(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  int result = (int)syscall(SYS_capget, &header, data);
  if (result < 0) return result;
  *effective = data[0].effective | (uint64_t)data[1].effective << 32;
  *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
  *inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
  return 0;
}

int clinux_seccomp_load(const void *program, size_t count, unsigned flags) {
  struct sock_fprog filter = {.len = (unsigned short)count, .filter = (struct sock_filter *)program};
  if (count > BPF_MAXINSNS) {
    errno = EINVAL;
    return -1;
  }
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

enum { maximum_descriptors = 64 };

ssize_t clinux_send(int socket, const void *bytes, size_t length, const int *descriptors, size_t count, int flags) {
  union {
    char space[CMSG_SPACE(sizeof(int) * maximum_descriptors)];
    struct cmsghdr align;
  } control;
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > maximum_descriptors) {
    errno = EINVAL;
    return -1;
  }
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.space;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
  }
  ssize_t sent;
  do sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent;
}

ssize_t clinux_receive(int socket, void *bytes, size_t length, int *descriptors, size_t *count, int flags) {
  union {
    char space[CMSG_SPACE(sizeof(int) * maximum_descriptors)];
    struct cmsghdr align;
  } control;
  struct iovec part = {.iov_base = bytes, .iov_len = length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
  size_t room = count ? *count : 0, received = 0;
  ssize_t got;
  do got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (count) *count = 0;
  if (got < 0) return got;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t number = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < number; index++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof(int));
      // A peer must not be able to fill our table: what has no room is closed here.
      if (received < room) descriptors[received++] = descriptor;
      else close(descriptor);
    }
  }
  if (count) *count = received;
  return got;
}

int clinux_accept(int socket, int flags) { return accept4(socket, NULL, NULL, flags); }

int clinux_peer(int socket, pid_t *process, uid_t *user, gid_t *group) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -1;
  *process = peer.pid;
  *user = peer.uid;
  *group = peer.gid;
  return 0;
}

int clinux_unix_address(int socket, const char *path, bool bind_it) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, path, length);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
  // An abstract name begins with a NUL, and ends where its length says.
  if (path[0] == '@') address.sun_path[0] = 0, size -= 1;
  if (bind_it) return bind(socket, (struct sockaddr *)&address, size);
  int result;
  do result = connect(socket, (struct sockaddr *)&address, size);
  while (result < 0 && errno == EINTR);
  return result;
}

int clinux_interface_up(const char *name) {
  int socket_descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_descriptor < 0) return -1;
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  int result = ioctl(socket_descriptor, SIOCSIFFLAGS, &request);
  int why = errno;
  close(socket_descriptor);
  errno = why;
  return result;
}

int clinux_pty_unlock(int master) {
  int locked = 0;
  return ioctl(master, TIOCSPTLCK, &locked);
}

int clinux_pty_peer(int master, int flags) { return ioctl(master, TIOCGPTPEER, flags); }

int clinux_pty_number(int master) {
  unsigned number;
  return ioctl(master, TIOCGPTN, &number) < 0 ? -1 : (int)number;
}

int clinux_set_window_size(int terminal, unsigned short rows, unsigned short columns) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  return ioctl(terminal, TIOCSWINSZ, &size);
}

int clinux_get_window_size(int terminal, unsigned short *rows, unsigned short *columns) {
  struct winsize size;
  if (ioctl(terminal, TIOCGWINSZ, &size) < 0) return -1;
  *rows = size.ws_row;
  *columns = size.ws_col;
  return 0;
}

int clinux_set_controlling_terminal(int terminal) { return ioctl(terminal, TIOCSCTTY, 0); }
int clinux_bytes_readable(int descriptor, int *count) { return ioctl(descriptor, FIONREAD, count); }

int clinux_loop_free(int control) { return ioctl(control, LOOP_CTL_GET_FREE); }

int clinux_loop_configure(int loop, int file, unsigned flags, unsigned block_size) {
  struct loop_config configuration;
  memset(&configuration, 0, sizeof configuration);
  configuration.fd = (unsigned)file;
  configuration.block_size = block_size;
  configuration.info.lo_flags = flags;
  return ioctl(loop, LOOP_CONFIGURE, &configuration);
}

int clinux_loop_clear(int loop) { return ioctl(loop, LOOP_CLR_FD); }

int clinux_bpf_load_cgroup_device(const void *instructions, size_t count, char *log, size_t log_size) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = (uint64_t)(uintptr_t)instructions;
  attributes.insn_cnt = (unsigned)count;
  attributes.license = (uint64_t)(uintptr_t)"Apache-2.0";
  if (log_size) {
    attributes.log_level = 1;
    attributes.log_buf = (uint64_t)(uintptr_t)log;
    attributes.log_size = (unsigned)log_size;
  }
  return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}

int clinux_bpf_attach_cgroup_device(int cgroup, int program, unsigned flags) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = (unsigned)cgroup;
  attributes.attach_bpf_fd = (unsigned)program;
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = flags;
  return (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes);
}

int clinux_ioctl(int descriptor, unsigned long request, void *argument) { return ioctl(descriptor, request, argument); }

int clinux_getdents(int directory, void *buffer, size_t size) {
  return (int)syscall(SYS_getdents64, directory, buffer, size);
}
