import DockerTypes
import Engine
import FoundationEssentials

extension EventMessage {
  init(_ event: EngineEvent) {
    self.init()
    type = event.kind
    action = event.action
    actor.id = event.subject
    actor.attributes = event.attributes
    scope = "local"
    let (seconds, nanoseconds) = GoTime.split(event.time)
    time = seconds
    timeNano = seconds * 1_000_000_000 + nanoseconds
    // The members that older clients read.
    if event.kind == "container" || event.kind == "image" {
      status = event.action
      id = event.subject
      if event.kind == "container" { from = event.attributes["image"] }
    }
  }
}

/// Which events a `GET /events` wants.
struct EventFilter: Sendable {
  static let accepted: Set<String> = [
    "config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret",
    "service", "type", "volume",
  ]

  let filters: Filters

  func allows(_ event: EngineEvent) -> Bool {
    // `exec_create: sh` is asked for as `exec_create`.
    let action = String(event.action.prefix { $0 != ":" })
    return filters.allows("event") { $0 == action || $0 == event.action || event.action.hasPrefix($0 + ":") }
      && filters.allows("type") { $0 == event.kind }
      && filters.allows("scope") { $0 == "local" }
      && filters.allows(labels: event.attributes)
      && allows(event, kind: "container") && allows(event, kind: "volume") && allows(event, kind: "network")
      && allows(event, kind: "daemon") && allowsImage(event)
  }

  private func allows(_ event: EngineEvent, kind: String) -> Bool {
    filters.allows(kind) { wanted in
      event.kind == kind
        && (event.subject == wanted || event.attributes["name"] == wanted
          || (wanted.utf8.count >= 12 && event.subject.hasPrefix(wanted)))
    }
  }

  /// An image filter also wants the events of the image's containers.
  private func allowsImage(_ event: EngineEvent) -> Bool {
    filters.allows("image") { wanted in
      func same(_ name: String?) -> Bool {
        guard let name else { return false }
        return name == wanted || name.prefix { $0 != ":" } == wanted[...]
      }
      return event.kind == "image"
        ? event.subject == wanted || same(event.subject) || same(event.attributes["name"])
        : event.kind == "container" && same(event.attributes["image"])
    }
  }
}
