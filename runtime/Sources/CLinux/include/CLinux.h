// The C that Swift cannot say: system calls without a wrapper, variadic calls, macros. Thin: no policy, no state.
// Every function returns what the kernel returned: -1 with errno set on failure.
#ifndef CLINUX_H
#define CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/xattr.h>

// Files
// Drops the mapping of this program's code and constants, which are never written and come back from the page cache.
void clinux_forget_code(void);
int clinux_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int clinux_close_range(unsigned first, unsigned last, unsigned flags);
int clinux_fcntl(int descriptor, int command, long argument);
uint64_t clinux_makedev(unsigned major, unsigned minor);
unsigned clinux_major(uint64_t device);
unsigned clinux_minor(uint64_t device);

// Mounts (fsopen(2) and its kin; glibc 2.36 has them, older ones do not)
int clinux_fsopen(const char *type, unsigned flags);
int clinux_fsconfig(int context, unsigned command, const char *key, const void *value, int extra);
int clinux_fsmount(int context, unsigned flags, unsigned attributes);
int clinux_open_tree(int directory, const char *path, unsigned flags);
int clinux_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags);
int clinux_mount_setattr(
    int directory, const char *path, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation, int user_namespace);
int clinux_pivot_root(const char *new_root, const char *put_old);

// Processes
// clone3(2) without a new stack: returns twice, like fork. `cgroup` < 0: stay in the caller's.
// glibc's cached thread id in the child is the parent's: the child must not raise(3) nor create threads.
pid_t clinux_clone3(uint64_t flags, int *pidfd, int exit_signal, int cgroup);
int clinux_pidfd_open(pid_t process, unsigned flags);
int clinux_pidfd_send_signal(int pidfd, int signal, unsigned flags);
int clinux_pidfd_getfd(int pidfd, int descriptor);
int clinux_setns(int descriptor, int kinds);
int clinux_unshare(int kinds);
// waitid(2) for one child, WEXITED. Returns 1 and the encoded wait status, 0 when nothing is there with `no_hang`.
int clinux_wait_process(pid_t process, bool no_hang, int *status);
int clinux_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int clinux_setresuid(uid_t user);
int clinux_setresgid(gid_t group);
// setfsuid(2) and setfsgid(2), which never report failure.
void clinux_setfsids(uid_t user, gid_t group);
int clinux_setgroups(size_t count, const gid_t *groups);
int clinux_prlimit(pid_t process, int resource, const uint64_t *soft, const uint64_t *hard, uint64_t *old_soft, uint64_t *old_hard);
long clinux_join_session_keyring(const char *name);
// sched_setattr(2) for the calling thread.
int clinux_sched_setattr(
    unsigned policy, uint64_t flags, int nice, unsigned priority, uint64_t runtime, uint64_t deadline, uint64_t period);
// `size` bytes of a bit for each processor, for the calling thread.
int clinux_sched_setaffinity(const uint8_t *mask, size_t size);
// set_mempolicy(2); `nodes` has a bit for each of `count` memory nodes, and room for whole words.
int clinux_set_memory_policy(int mode, const uint8_t *nodes, unsigned long count);
int clinux_personality(unsigned long domain);
// execveat(2) of an open file.
int clinux_execveat(int descriptor, char *const *arguments, char *const *environment);
int clinux_ioprio_set(int priority_class, int level);
// Every signal back to its default action, none blocked: what an executed program expects to find.
void clinux_reset_signals(void);
int clinux_block_signals(const int *signals, size_t count, bool block);
int clinux_signalfd(const int *signals, size_t count);
_Noreturn void clinux_exit(int status);
extern char **environ;

// Capabilities and seccomp
int clinux_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable);
int clinux_capget(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);
// `program`: `count` instructions of struct sock_filter, 8 bytes each.
// With SECCOMP_FILTER_FLAG_NEW_LISTENER in `flags` it returns the listener's descriptor.
int clinux_seccomp_load(const void *program, size_t count, unsigned flags);

// Sockets
ssize_t clinux_send(int socket, const void *bytes, size_t length, const int *descriptors, size_t count, int flags);
// Received descriptors are close-on-exec; `count` is the room on entry, the number received on return.
ssize_t clinux_receive(int socket, void *bytes, size_t length, int *descriptors, size_t *count, int flags);
int clinux_accept(int socket, int flags);
// Peer credentials (SO_PEERCRED).
int clinux_peer(int socket, pid_t *process, uid_t *user, gid_t *group);
// bind(2) or connect(2) to an AF_UNIX address.
int clinux_unix_address(int socket, const char *path, bool bind_it);
int clinux_interface_up(const char *name);

// Terminals
int clinux_pty_unlock(int master);
int clinux_pty_peer(int master, int flags);
int clinux_pty_number(int master);
int clinux_set_window_size(int terminal, unsigned short rows, unsigned short columns);
int clinux_get_window_size(int terminal, unsigned short *rows, unsigned short *columns);
int clinux_set_controlling_terminal(int terminal);
int clinux_bytes_readable(int descriptor, int *count);

// Loop devices
int clinux_loop_free(int control);
int clinux_loop_configure(int loop, int file, unsigned flags, unsigned block_size);
int clinux_loop_clear(int loop);

// eBPF: cgroup device programs
int clinux_bpf_load_cgroup_device(const void *instructions, size_t count, char *log, size_t log_size);
int clinux_bpf_attach_cgroup_device(int cgroup, int program, unsigned flags);

int clinux_ioctl(int descriptor, unsigned long request, void *argument);
int clinux_getdents(int directory, void *buffer, size_t size);

#endif
