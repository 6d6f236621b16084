/// What a create came to.
public struct CreatedInstance: Sendable {
  public var id: String
  public var warnings: [String]
  public init(id: String, warnings: [String]) { self.id = id; self.warnings = warnings }
}

public enum WaitCondition: String, Sendable { case notRunning = "not-running", nextExit = "next-exit", removed }

/// nil leaves as it is.
public struct InstanceUpdate: Sendable {
  public var resources: Resources?
  public var restartPolicy: RestartPolicy?
  public init() {}
}
