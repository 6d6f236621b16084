// The protection of the runtime's own file (OwnExecutable.protect, CVE-2019-5736) as the very first thing a command does:
// it means to be executed again, and whatever a process has done until then it has done for nothing. Where this gives up for
// any reason, the command does it later, or says why it cannot.
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

// Numbers are the same on every architecture for the calls added since Linux 5.1.
enum { OPEN_TREE = 428, MOUNT_SETATTR = 442, MOUNT_READ_ONLY = 1, CLONE_TREE = 1, READ_ONLY = 1 };

// Whether a word is that of a command whose processes enter containers. One too many costs a millisecond.
static int enters(const char *word) {
  return strcmp(word, "run") == 0 || strcmp(word, "create") == 0 || strcmp(word, "exec") == 0 ||
         strcmp(word, "restore") == 0;
}

__attribute__((constructor)) static void start(int count, char **arguments, char **environment) {
  struct statfs status;
  int found = 0;
  // The shim keeps its own file out of containers by itself.
  if (count < 2 || strcmp(arguments[1], "shim") == 0) return;
  for (int index = 1; index < count && !found; index++) found = enters(arguments[index]);
  if (!found || statfs("/proc/self/exe", &status) < 0 || status.f_flags & READ_ONLY) return;
  int copy = (int)syscall(OPEN_TREE, AT_FDCWD, "/proc/self/exe", CLONE_TREE | O_CLOEXEC);
  if (copy < 0) return;
  uint64_t attributes[4] = {MOUNT_READ_ONLY, 0, 0, 0};
  if (syscall(MOUNT_SETATTR, copy, "", AT_EMPTY_PATH, attributes, sizeof attributes) == 0)
    syscall(SYS_execveat, copy, "", arguments, environment, AT_EMPTY_PATH);
  close(copy);
}
