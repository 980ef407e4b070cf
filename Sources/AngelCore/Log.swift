/// Remarks for the person at the terminal, apart from results; passed in, never global.
public struct Log: Sendable {
  /// How much a remark matters.
  public enum Level: Int, Sendable, Comparable {
    case detail, note, warning

    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }

  private let threshold: Level
  private let write: @Sendable (String) -> Void

  /// A log that passes on remarks of at least `threshold`, one line each, line end included.
  public init(threshold: Level = .note, write: @escaping @Sendable (String) -> Void) {
    self.threshold = threshold
    self.write = write
  }

  /// Keeps nothing.
  public static let silent = Log(threshold: .warning, write: { _ in })

  public func detail(_ text: @autoclosure () -> String) { emit(.detail, text) }
  public func note(_ text: @autoclosure () -> String) { emit(.note, text) }
  public func warning(_ text: @autoclosure () -> String) { emit(.warning, text) }

  private func emit(_ level: Level, _ text: () -> String) {
    guard level >= threshold else { return }
    write((level == .warning ? "warning: " : "") + text() + "\n")
  }
}
