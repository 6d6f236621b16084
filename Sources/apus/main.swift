import Glibc

// Synchronous, and without an event loop: an asynchronous main would cost more than everything else the program does
// before its first request (docs/decisions/0020).
exit(Program.run(Array(CommandLine.arguments.dropFirst())))
