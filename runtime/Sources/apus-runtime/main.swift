import Glibc

// Nothing else here: closures at a main file's top level are bound to the main actor's executor.
exit(Roles.run(CommandLine.arguments))
