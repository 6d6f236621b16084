import Container
import Errors
import RuntimeSpec

extension Hooks {
  /// A failure is logged, and changes nothing (runtime.md, Lifecycle).
  static func runPoststart(_ hooks: Hooks?, of record: Record, log: Log) {
    run(hooks?.poststart ?? [], kind: "poststart", record.state(.running), bundle: record.bundle, log: log)
  }

  static func runPoststop(_ hooks: Hooks?, of record: Record, log: Log) {
    run(hooks?.poststop ?? [], kind: "poststop", record.state(.stopped), bundle: record.bundle, log: log)
  }

  /// One by one: the hooks after a failed one run too.
  private static func run(_ hooks: [Hook], kind: String, _ state: ContainerState, bundle: String, log: Log) {
    for hook in hooks {
      do throws(ApusError) {
        try HookRunner.run([hook], kind: kind, state: state, directory: bundle)
      } catch {
        log.write(.warning, error.message)
      }
    }
  }
}
