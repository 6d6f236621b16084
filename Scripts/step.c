// Runs a program one instruction at a time, with all that it becomes and forks, and writes the address of every instruction
// that was executed, once each. For programs linked to fixed addresses.
//
//   step OUTPUT PROGRAM ARGUMENTS…
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 0x200000, LAST = 0x2000000 };
static unsigned char executed[LAST - FIRST];

int main(int count, char **arguments) {
  if (count < 3) return 2;
  pid_t program = fork();
  if (program == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execv(arguments[2], arguments + 2);
    _exit(127);
  }
  int status, begun = 0, result = 0;
  waitpid(program, &status, 0);
  ptrace(PTRACE_SETOPTIONS, program, 0,
         PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
  ptrace(PTRACE_SINGLESTEP, program, 0, 0);
  for (pid_t process; (process = waitpid(-1, &status, __WALL)) > 0;) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (process != program) continue;
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    if (event == PTRACE_EVENT_EXEC) begun = 1;
#if defined(__x86_64__)
    unsigned long address = (unsigned long)ptrace(PTRACE_PEEKUSER, process, offsetof(struct user_regs_struct, rip), 0);
#else
#error "only for x86-64: the order serves other processors as well"
#endif
    if (begun && address >= FIRST && address < LAST) executed[address - FIRST] = 1;
    ptrace(PTRACE_SINGLESTEP, process, 0, event || signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
  }
  FILE *output = fopen(arguments[1], "w");
  if (!output) return 1;
  for (unsigned long address = FIRST; address < LAST; address++)
    if (executed[address - FIRST]) fprintf(output, "%lx\n", address);
  fclose(output);
  return result;
}
