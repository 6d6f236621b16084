import Glibc

// libFuzzer without its main: SwiftPM's executables bring their own. `fuzz TARGET [libFuzzer's arguments]`.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ target: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

var count = CommandLine.argc - 1
guard count >= 1, let name = CommandLine.arguments.dropFirst().first, let target = fuzzTargets[name] else {
  print("usage: fuzz \(fuzzTargets.keys.sorted().joined(separator: "|")) [libFuzzer's arguments]")
  exit(2)
}
var arguments = CommandLine.unsafeArgv + 1
exit(runDriver(&count, &arguments, target))
