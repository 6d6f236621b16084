// Runs commands one after the other and says what each has cost. Small, because a process's peak resident set counts from
// before its execve(2), which is to say from its parent's memory.
//
// Standard input: a line per command, its words divided by the byte 0x1f. `wait`, as the first word, waits for all that
// commands have left behind. Output, a line each: wall time (ns), processor time (ns), peak resident set (KiB), status.
// What commands leave behind becomes this process's (PR_SET_CHILD_SUBREAPER).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t processor_time(const struct rusage *usage) {
  return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000u +
         (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000u;
}

static void report(uint64_t wall, uint64_t cpu, long peak, int status) {
  printf("%llu %llu %ld %d\n", (unsigned long long)wall, (unsigned long long)cpu, peak,
         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  fflush(stdout);
}

static void wait_for_all(void) {
  uint64_t cpu = 0, begin = now();
  long peak = 0;
  int status, last = 0;
  struct rusage usage;
  while (wait4(-1, &status, 0, &usage) > 0 || errno == EINTR) {
    cpu += processor_time(&usage);
    if (usage.ru_maxrss > peak) peak = usage.ru_maxrss;
    last = status;
  }
  report(now() - begin, cpu, peak, last);
}

static void run(char **words, int null, int errors) {
  struct rusage usage;
  int status = 0;
  uint64_t begin = now();
  pid_t child = vfork();
  if (child == 0) {
    dup2(null, 0);
    dup2(null, 1);
    dup2(errors, 2);
    execve(words[0], words, environ);
    _exit(127);
  }
  while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR) continue;
  report(now() - begin, processor_time(&usage), usage.ru_maxrss, status);
}

// crun refuses hybrid control groups: their version 2 half is hidden from all alike, in this process's mount namespace.
static int hide_unified(void) {
  const char *path = "/sys/fs/cgroup/unified";
  if (access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) < 0) return 0;
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -1;
  if (umount2(path, MNT_DETACH) < 0) return -1;
  // What a runtime makes there as plain directories goes with the namespace.
  return mount("tmpfs", path, "tmpfs", 0, "size=1m");
}

int main(int count, char **arguments) {
  static char line[65536];
  static char *words[256];
  if (count != 2) {
    fprintf(stderr, "usage: measure FILE-FOR-ERRORS\n");
    return 2;
  }
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int errors = open(arguments[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (null < 0 || errors < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || hide_unified() < 0) {
    perror("measure");
    return 1;
  }
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    size_t number = 0;
    char *rest = line;
    while (rest && number < 255) words[number++] = strsep(&rest, "\x1f");
    words[number] = NULL;
    if (strcmp(words[0], "wait") == 0) {
      wait_for_all();
    } else {
      run(words, null, errors);
    }
  }
  return 0;
}
