import Errors
import Linux

extension Container {
  /// Stops every process of the container until ``resume()``; returns when they have stopped.
  public func pause() throws(ApusError) { try cgroups.freeze(cgroupPath) }

  /// Lets a paused container go on.
  public func resume() throws(ApusError) { try cgroups.thaw(cgroupPath) }
}
