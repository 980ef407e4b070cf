import AngelCore
import Synchronization

/// An adapter that a server offers as a model of its own.
public struct ServedAdapter: Sendable {
  /// What requests call it.
  public let name: String
  /// The model it stands beside.
  public let base: String
  /// Its PEFT folder.
  public let path: String
  /// Seconds since 1970, as `/v1/models` tells.
  public let created: Int
  /// Whether it came at run time: then its model does without it when it cannot be read again.
  public let isOptional: Bool

  public init(name: String, base: String, path: String, created: Int, isOptional: Bool = false) {
    self.name = name
    self.base = base
    self.path = path
    self.created = created
    self.isOptional = isOptional
  }
}

/// The adapters of a server by name, in the order in which they came.
final class AdapterShelf: Sendable {
  private let adapters: Mutex<[ServedAdapter]>

  init(_ adapters: [ServedAdapter]) { self.adapters = Mutex(adapters) }

  var all: [ServedAdapter] { adapters.withLock { $0 } }

  subscript(name: String) -> ServedAdapter? { adapters.withLock { $0.first { $0.name == name } } }

  /// Adds one; false where there is one of that name.
  func add(_ adapter: ServedAdapter) -> Bool {
    adapters.withLock { adapters in
      guard !adapters.contains(where: { $0.name == adapter.name }) else { return false }
      adapters.append(adapter)
      return true
    }
  }

  /// Takes one out; nil where there is none of that name.
  func remove(_ name: String) -> ServedAdapter? {
    adapters.withLock { adapters in adapters.firstIndex { $0.name == name }.map { adapters.remove(at: $0) } }
  }
}
