/// Cuts a stream of bytes into server-sent events (WHATWG HTML, §9.2): what `data:` lines say, one text for each event.
public struct EventReader: Sendable {
  private var rest: [UInt8] = []
  /// Bytes of the rest in which no event ends.
  private var searched = 0

  public init() {}

  /// The events that are complete with these bytes.
  public mutating func append(_ bytes: [UInt8]) -> [String] {
    // Lines may end with either; a return says nothing by itself.
    rest += bytes.lazy.filter { $0 != 0x0D }
    var events: [String] = []
    var begin = 0
    while let end = boundary() {
      let lines = String(decoding: rest[begin..<end], as: UTF8.self).split(separator: "\n")
      let data = lines.compactMap { line -> Substring? in
        guard line.hasPrefix("data:") else { return nil }
        let value = line.dropFirst("data:".count)
        return value.hasPrefix(" ") ? value.dropFirst() : value
      }
      if !data.isEmpty { events.append(data.joined(separator: "\n")) }
      begin = end + 2
      searched = begin
    }
    rest.removeFirst(begin)
    searched = max(0, rest.count - 1)
    return events
  }

  /// Where the next two line ends are.
  private func boundary() -> Int? {
    (searched..<max(searched, rest.count - 1)).first { rest[$0] == 0x0A && rest[$0 + 1] == 0x0A }
  }
}
