import CLinux
import Errors
import Glibc
import Linux

/// Between our standard streams and the master of a terminal.
final class TerminalRelay {
  private let master: OwnedDescriptor
  /// Of our own terminal, to be put back; nil where standard input is none.
  private var settings: termios?
  private var readsInput = true
  private var isOpen = true
  /// Read from our input, and not yet taken by the terminal.
  private var pending: [UInt8] = []
  private var buffer = [UInt8](repeating: 0, count: 16384)

  init(master: consuming OwnedDescriptor) throws(ApusError) {
    self.master = master
    // A program that reads nothing must not keep its output from being read.
    try check(clinux_fcntl(self.master.raw, F_SETFL, Int(O_NONBLOCK)), "cannot set up a terminal")
    var current = termios()
    if tcgetattr(0, &current) == 0 {
      settings = current
      cfmakeraw(&current)
      try check(tcsetattr(0, TCSANOW, &current), "cannot change the settings of the terminal")
    }
    resize()
  }

  /// Gives the program's terminal the size of ours.
  func resize() {
    guard settings != nil, let size = try? Terminal.size(of: 0), size.rows > 0 else { return }
    try? Terminal.resize(master.raw, rows: size.rows, columns: size.columns)
  }

  /// Passes bytes on until `other` can be read.
  func work(orUntil other: Int32) {
    while true {
      var events: Int16 = 0
      if isOpen { events = Int16(POLLIN) | (pending.isEmpty ? 0 : Int16(POLLOUT)) }
      var descriptors = [
        pollfd(fd: other, events: Int16(POLLIN), revents: 0),
        pollfd(fd: isOpen ? master.raw : -1, events: events, revents: 0),
        pollfd(fd: readsInput && pending.isEmpty ? 0 : -1, events: Int16(POLLIN), revents: 0),
      ]
      guard retrying({ poll(&descriptors, 3, -1) }) > 0 else { return }
      // The program's last words come before the news of its end.
      if descriptors[1].revents & ~Int16(POLLOUT) != 0 { passOutput() }
      if descriptors[1].revents & Int16(POLLOUT) != 0 { passInput() }
      if descriptors[2].revents != 0 { readInput() }
      if descriptors[0].revents != 0 { return }
    }
  }

  /// What the program has written before its end, and then our terminal as it was.
  func end() {
    while isOpen {
      var wait = pollfd(fd: master.raw, events: Int16(POLLIN), revents: 0)
      // Another process may hold the terminal open for ever: only what is there already is waited for.
      guard poll(&wait, 1, 0) > 0 else { break }
      passOutput()
    }
    if var settings { _ = tcsetattr(0, TCSANOW, &settings) }
  }

  private func passOutput() {
    let descriptor = master.raw
    let got = buffer.withUnsafeMutableBytes { area in retrying { read(descriptor, area.baseAddress, area.count) } }
    if got > 0 {
      try? Files.write(Array(buffer.prefix(got)), to: 1)
    } else if got == 0 || errno != EAGAIN {
      // EIO: nobody has the terminal open any more.
      isOpen = false
    }
  }

  private func passInput() {
    let descriptor = master.raw
    let sent = pending.withUnsafeBytes { area in retrying { write(descriptor, area.baseAddress, area.count) } }
    if sent > 0 { pending.removeFirst(sent) } else if errno != EAGAIN { pending = [] }
  }

  private func readInput() {
    let got = buffer.withUnsafeMutableBytes { area in retrying { read(0, area.baseAddress, area.count) } }
    if got > 0 { pending = Array(buffer.prefix(got)) } else if got == 0 || errno != EAGAIN { readsInput = false }
  }
}
