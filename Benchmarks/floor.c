// The floor: the bare system calls of one container, for the configuration that runtimes.py gives to the runtimes, and
// nothing else: no configuration is read, no state kept, no error explained. What a runtime needs beyond this is its own.
//
//   floor run ROOTFS CGROUP FILTER       a container of `true` from its making to its removal
//   floor exec PID CGROUP FILTER         `true` in the container whose first process is PID
//   floor nothing                        a process that ends at once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(call)                                                     \
  do {                                                                  \
    if ((call) < 0) {                                                   \
      dprintf(2, "floor: line %d: %s: %s\n", __LINE__, #call, strerror(errno)); \
      _exit(1);                                                         \
    }                                                                   \
  } while (0)

static const char *const hierarchies[] = {"cpu", "cpuacct", "cpuset", "memory", "devices",
                                          "freezer", "blkio", "pids", "systemd"};
enum { HIERARCHIES = sizeof hierarchies / sizeof *hierarchies };
static int is_v2;

// As in runtimes.py.
static const char *const masked[] = {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                                     "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
                                     "/sys/firmware", "/sys/devices/virtual/powercap"};
static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
static const uint64_t capabilities = 0xa80425fbu;  // Docker's fourteen

static void put(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  CHECK(file);
  CHECK(write(file, text, strlen(text)));
  close(file);
}

static const char *group_file(const char *hierarchy, const char *group, const char *file) {
  static char path[1024];
  if (is_v2) {
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s", group, file);
  } else {
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s/%s", hierarchy, group, file);
  }
  return path;
}

static void make_group(const char *group) {
  if (is_v2) {
    CHECK(mkdir(group_file("", group, ""), 0755));
    put(group_file("", group, "memory.max"), "268435456");
    put(group_file("", group, "pids.max"), "100");
    return;  // The device program is left out.
  }
  for (int i = 0; i < HIERARCHIES; i++) {
    if (mkdir(group_file(hierarchies[i], group, ""), 0755) < 0 && errno != EEXIST) CHECK(-1);
  }
  put(group_file("memory", group, "memory.limit_in_bytes"), "268435456");
  put(group_file("pids", group, "pids.max"), "100");
  put(group_file("devices", group, "devices.deny"), "a");
  int file = open(group_file("devices", group, "devices.allow"), O_WRONLY | O_CLOEXEC);
  static const char *const allowed[] = {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
                                        "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"};
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) CHECK(write(file, allowed[i], strlen(allowed[i])));
  close(file);
}

static void enter_group(const char *group) {
  if (is_v2) return put(group_file("", group, "cgroup.procs"), "0");
  for (int i = 0; i < HIERARCHIES; i++) put(group_file(hierarchies[i], group, "tasks"), "0");
}

static void remove_group(const char *group) {
  for (int i = 0; i < (is_v2 ? 1 : HIERARCHIES); i++) CHECK(rmdir(group_file(hierarchies[i], group, "")));
}

static int filesystem(const char *type, const char *const *options, unsigned attributes) {
  int context = (int)syscall(SYS_fsopen, type, 1);
  CHECK(context);
  for (; options && *options; options += 2) CHECK(syscall(SYS_fsconfig, context, 1, options[0], options[1], 0));
  CHECK(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
  int made = (int)syscall(SYS_fsmount, context, 1, attributes);
  CHECK(made);
  close(context);
  return made;
}

static int tree(int directory, const char *path, unsigned flags) {
  int copy = (int)syscall(SYS_open_tree, directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
  CHECK(copy);
  return copy;
}

static void attributes(int directory, const char *path, unsigned flags, uint64_t set, uint64_t propagation) {
  uint64_t values[4] = {set, 0, propagation, 0};
  CHECK(syscall(SYS_mount_setattr, directory, path, flags, values, sizeof values));
}

static int inside(int root, const char *path) {
  uint64_t how[3] = {O_PATH | O_CLOEXEC, 0, 0x10 | 0x02};  // RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS
  return (int)syscall(SYS_openat2, root, path + 1, how, sizeof how);
}

static void attach(int mount, int root, const char *path) {
  int target = inside(root, path);
  CHECK(target);
  CHECK(syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
  close(target);
}

enum { READ_ONLY = 1, NO_SUID = 2, NO_DEV = 4, NO_EXEC = 8 };
#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void mount_all(int root, const char *group) {
  attach(filesystem("proc", NULL, NO_SUID | NO_DEV | NO_EXEC), root, "/proc");
  attach(filesystem("tmpfs", OPTIONS("mode", "755", "size", "65536k"), NO_SUID), root, "/dev");
  int dev = inside(root, "/dev");
  umask(0);
  for (int i = 0; i < 3; i++) CHECK(mkdirat(dev, (const char *[]){"pts", "shm", "mqueue"}[i], 0755));
  attach(filesystem("devpts", OPTIONS("ptmxmode", "0666", "mode", "0620", "gid", "5"), NO_SUID | NO_EXEC), root, "/dev/pts");
  attach(filesystem("tmpfs", OPTIONS("mode", "1777", "size", "65536k"), NO_SUID | NO_DEV | NO_EXEC), root, "/dev/shm");
  attach(filesystem("mqueue", NULL, NO_SUID | NO_DEV | NO_EXEC), root, "/dev/mqueue");
  attach(filesystem("sysfs", NULL, NO_SUID | NO_DEV | NO_EXEC | READ_ONLY), root, "/sys");
  if (is_v2) {
    int copy = tree(AT_FDCWD, group_file("", group, ""), 0);
    attributes(copy, "", AT_EMPTY_PATH, NO_SUID | NO_DEV | NO_EXEC | READ_ONLY, 0);
    attach(copy, root, "/sys/fs/cgroup");
  } else {
    int top = filesystem("tmpfs", OPTIONS("mode", "755", "size", "64k"), NO_SUID | NO_DEV | NO_EXEC);
    for (int i = 0; i < HIERARCHIES; i++) CHECK(mkdirat(top, hierarchies[i], 0755));
    attributes(top, "", AT_EMPTY_PATH, READ_ONLY, 0);
    attach(top, root, "/sys/fs/cgroup");
    for (int i = 0; i < HIERARCHIES; i++) {
      int copy = tree(AT_FDCWD, group_file(hierarchies[i], group, ""), 0);
      attributes(copy, "", AT_EMPTY_PATH, NO_SUID | NO_DEV | NO_EXEC | READ_ONLY, 0);
      CHECK(syscall(SYS_move_mount, copy, "", top, hierarchies[i], MOVE_MOUNT_F_EMPTY_PATH));
    }
  }
  static const struct { const char *name; unsigned major, minor; } nodes[] = {
      {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  for (int i = 0; i < 6; i++) CHECK(mknodat(dev, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
  static const char *const links[][2] = {{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
                                         {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"}, {"pts/ptmx", "ptmx"}};
  for (int i = 0; i < 6; i++) CHECK(symlinkat(links[i][0], dev, links[i][1]));

  for (size_t i = 0; i < sizeof readonly / sizeof *readonly; i++) {
    int target = inside(root, readonly[i]);
    if (target < 0) continue;
    int copy = tree(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
    attributes(copy, "", AT_EMPTY_PATH | AT_RECURSIVE, READ_ONLY, 0);
    CHECK(syscall(SYS_move_mount, copy, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
  }
  int null = inside(root, "/dev/null"), empty = -1;
  for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
    struct stat status;
    int copy, target = inside(root, masked[i]);
    if (target < 0) continue;
    CHECK(fstat(target, &status));
    if (S_ISDIR(status.st_mode) && empty < 0) {
      copy = empty = filesystem("tmpfs", OPTIONS("nr_inodes", "1", "mode", "555"), READ_ONLY | NO_SUID | NO_DEV | NO_EXEC);
    } else {
      copy = tree(S_ISDIR(status.st_mode) ? empty : null, "", AT_EMPTY_PATH);
      if (!S_ISDIR(status.st_mode)) attributes(copy, "", AT_EMPTY_PATH, READ_ONLY, 0);
    }
    CHECK(syscall(SYS_move_mount, copy, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
  }
  attributes(root, "", AT_EMPTY_PATH, READ_ONLY, 0);
}

static struct sock_fprog read_filter(const char *path) {
  struct stat status;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  CHECK(file);
  CHECK(fstat(file, &status));
  void *bytes = malloc((size_t)status.st_size);
  CHECK(read(file, bytes, (size_t)status.st_size));
  close(file);
  return (struct sock_fprog){.len = (unsigned short)(status.st_size / 8), .filter = bytes};
}

static void become_program(struct sock_fprog filter) {
  setsid();
  struct rlimit limit = {1024, 1024};
  CHECK(setrlimit(RLIMIT_NOFILE, &limit));
  CHECK(syscall(SYS_close_range, 3, ~0u, 4));  // CLOSE_RANGE_CLOEXEC
  CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter));
  for (unsigned long number = 0; number < 41; number++) {
    if (!(capabilities >> number & 1)) CHECK(prctl(PR_CAPBSET_DROP, number, 0, 0, 0));
  }
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{(uint32_t)capabilities, (uint32_t)capabilities, 0}, {0, 0, 0}};
  CHECK(syscall(SYS_setgroups, 0, NULL));
  CHECK(syscall(SYS_setresgid, 0, 0, 0));
  CHECK(syscall(SYS_setresuid, 0, 0, 0));
  CHECK(syscall(SYS_capset, &header, data));
  umask(022);
  execve("/bin/true", (char *[]){"true", NULL}, (char *[]){"PATH=/bin", NULL});
  CHECK(-1);
}

static pid_t clone3(uint64_t flags) {
  uint64_t arguments[11] = {flags, 0, 0, 0, SIGCHLD};
  return (pid_t)syscall(SYS_clone3, arguments, sizeof arguments);
}

static int wait_for(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const char *rootfs, const char *group, const char *filter_file) {
  struct sock_fprog filter = read_filter(filter_file);
  make_group(group);
  pid_t child = clone3(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS);
  CHECK(child);
  if (child == 0) {
    enter_group(group);
    CHECK(unshare(CLONE_NEWCGROUP));
    CHECK(sethostname("bench", 5));
    int socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    CHECK(ioctl(socket_, SIOCSIFFLAGS, &request));
    attributes(AT_FDCWD, "/", AT_RECURSIVE, 0, MS_SLAVE);
    attributes(AT_FDCWD, "/", 0, 0, MS_PRIVATE);
    int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int root = tree(AT_FDCWD, rootfs, AT_RECURSIVE);
    CHECK(syscall(SYS_move_mount, root, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH));
    mount_all(root, group);
    CHECK(fchdir(root));
    CHECK(syscall(SYS_pivot_root, ".", "."));
    CHECK(fchdir(host));
    CHECK(umount2(".", MNT_DETACH));
    CHECK(chdir("/"));
    become_program(filter);
  }
  int status = wait_for(child);
  remove_group(group);
  return status;
}

static int execute(pid_t process, const char *group, const char *filter_file) {
  struct sock_fprog filter = read_filter(filter_file);
  int target = (int)syscall(SYS_pidfd_open, process, 0);
  CHECK(target);
  CHECK(setns(target, CLONE_NEWPID));
  pid_t child = clone3(0);
  CHECK(child);
  if (child == 0) {
    enter_group(group);
    CHECK(setns(target, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP));
    become_program(filter);
  }
  return wait_for(child);
}

int main(int count, char **arguments) {
  is_v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  if (count == 5 && strcmp(arguments[1], "run") == 0) return run(arguments[2], arguments[3], arguments[4]);
  if (count == 5 && strcmp(arguments[1], "exec") == 0) return execute(atoi(arguments[2]), arguments[3], arguments[4]);
  if (count == 2 && strcmp(arguments[1], "nothing") == 0) return 0;
  fprintf(stderr, "usage: floor run ROOTFS CGROUP FILTER | exec PID CGROUP FILTER | nothing\n");
  return 2;
}
