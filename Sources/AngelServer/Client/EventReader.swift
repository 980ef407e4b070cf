/// Cuts a stream of bytes into server-sent events (WHATWG HTML, §9.2): what `data:` lines say, one text for each event.
public struct EventReader: Sendable {
  private var rest: [UInt8] = []

  public init() {}

  /// The events that are complete with these bytes.
  public mutating func append(_ bytes: [UInt8]) -> [String] {
    // Lines may end with either; a return says nothing by itself.
    rest += bytes.lazy.filter { $0 != 0x0D }
    var events: [String] = []
    while let end = boundary() {
      let lines = String(decoding: rest[..<end], as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: true)
      let data = lines.compactMap { line -> Substring? in
        guard line.hasPrefix("data:") else { return nil }
        let value = line.dropFirst("data:".count)
        return value.hasPrefix(" ") ? value.dropFirst() : value
      }
      if !data.isEmpty { events.append(data.joined(separator: "\n")) }
      rest.removeFirst(end + 2)
    }
    return events
  }

  private func boundary() -> Int? {
    guard rest.count >= 2 else { return nil }
    return (0...(rest.count - 2)).first { rest[$0] == 0x0A && rest[$0 + 1] == 0x0A }
  }
}
