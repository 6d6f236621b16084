// Says which functions of a program are executed, in the order in which they first are: by a breakpoint on each that goes
// away when it is met. Follows what the program forks, and itself executed again; not other programs.
//
//   executed ADDRESSES OUTPUT EMPTY PROGRAM ARGUMENTS…
//
// ADDRESSES: of functions of a program that is linked to fixed ones, hexadecimal, a line each. EMPTY: of one that is to do
// nothing, because it would throw the breakpoints away; or 0.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "only for x86-64; the order it leads to serves other processors as well"
#endif

enum { FIRST = 0x200000, LAST = 0x2000000 };
// What was there before the breakpoint, plus one; zero where there is none.
static unsigned short original[LAST - FIRST];
static unsigned char met[LAST - FIRST];
static struct stat program;
static unsigned long empty;

static int memory_of(pid_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", process);
  return open(path, O_RDWR | O_CLOEXEC);
}

static void set_breakpoints(pid_t process) {
  char path[64];
  struct stat own;
  snprintf(path, sizeof path, "/proc/%d/exe", process);
  if (stat(path, &own) < 0 || own.st_ino != program.st_ino || own.st_dev != program.st_dev) return;
  int memory = memory_of(process);
  for (size_t index = 0; index < LAST - FIRST; index++) {
    unsigned char byte, breakpoint = 0xcc;
    if (!original[index]) continue;
    if (pread(memory, &byte, 1, (off_t)(index + FIRST)) != 1) continue;
    original[index] = (unsigned short)(byte + 1);
    if (pwrite(memory, &breakpoint, 1, (off_t)(index + FIRST)) != 1) perror("executed: pwrite");
  }
  if (empty && pwrite(memory, "\xc3", 1, (off_t)empty) != 1) perror("executed: pwrite");
  close(memory);
}

// Whether it was a breakpoint of ours.
static int meet(pid_t process, FILE *output) {
  struct user_regs_struct registers;
  ptrace(PTRACE_GETREGS, process, 0, &registers);
  unsigned long address = registers.rip - 1;
  if (address < FIRST || address >= LAST || !original[address - FIRST]) return 0;
  unsigned char byte = (unsigned char)(original[address - FIRST] - 1);
  int memory = memory_of(process);
  if (pwrite(memory, &byte, 1, (off_t)address) != 1) perror("executed: pwrite");
  close(memory);
  if (!met[address - FIRST]) fprintf(output, "%lx\n", address);
  met[address - FIRST] = 1;
  registers.rip = address;
  ptrace(PTRACE_SETREGS, process, 0, &registers);
  return 1;
}

int main(int count, char **arguments) {
  if (count < 5 || stat(arguments[4], &program) < 0) return 2;
  empty = strtoul(arguments[3], NULL, 16);
  FILE *addresses = fopen(arguments[1], "r"), *output = fopen(arguments[2], "w");
  if (!addresses || !output) return 2;
  for (unsigned long address; fscanf(addresses, "%lx", &address) == 1;)
    if (address >= FIRST && address < LAST && address != empty) original[address - FIRST] = 1;
  pid_t first = fork();
  if (first == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execv(arguments[4], arguments + 4);
    _exit(127);
  }
  int status, result = 0;
  waitpid(first, &status, 0);
  ptrace(PTRACE_SETOPTIONS, first, 0,
         PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
  ptrace(PTRACE_CONT, first, 0, 0);
  for (pid_t process; (process = waitpid(-1, &status, __WALL)) > 0;) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (process != first) continue;
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    if (event == PTRACE_EVENT_EXEC) set_breakpoints(process);
    if (event || signal == SIGSTOP || (signal == SIGTRAP && meet(process, output))) signal = 0;
    ptrace(PTRACE_CONT, process, 0, signal);
  }
  fclose(output);
  return result;
}
