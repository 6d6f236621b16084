import Errors
import Glibc
import Linux

/// The socket through which the next daemon finds the shim.
final class Listener: EventHandler {
  var onConnection: (consuming OwnedDescriptor) -> Void = { _ in }

  private let path: String
  private let descriptor: Int32
  private let loop: EventLoop
  private var watch: Watch

  init(path: String, loop: EventLoop) throws(ApusError) {
    self.path = path
    self.loop = loop
    descriptor = try UnixSocket.listen(at: path, nonBlocking: true).release()
    watch = Watch(descriptor)
    resume()
  }

  /// Goes on after having run out of descriptors.
  func resume() { watch.wait(for: .readable, in: loop, self) }

  func close() {
    watch.wait(for: [], in: loop, self)
    unlink(path)
    Glibc.close(descriptor)
  }

  func handle(_ events: Poller.Events) {
    do throws(ApusError) {
      guard let connection = try UnixSocket.accept(descriptor, nonBlocking: true) else { return }
      onConnection(connection)
    } catch {
      // The connection stays in the kernel's queue until a descriptor is free.
      watch.wait(for: [], in: loop, self)
    }
  }
}

/// Calls a closure; for descriptors that need no state of their own.
final class CallbackHandler: EventHandler {
  private let callback: () -> Void
  init(_ callback: @escaping () -> Void) { self.callback = callback }
  func handle(_ events: Poller.Events) { callback() }
}
