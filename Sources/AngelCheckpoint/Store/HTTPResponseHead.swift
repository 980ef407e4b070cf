/// The parts of a response's head that a download needs, gathered line by line; redirects start it anew.
struct HTTPResponseHead: Equatable {
  private(set) var status = 0
  private var entityTag: String?
  private var lastModified: String?
  private var contentLength: Int?
  private(set) var rangeStart: Int?
  private var rangeTotal: Int?

  /// What later asks for the rest of the same version: a strong entity tag, else the date of the last change.
  var validator: String? {
    if let entityTag, !entityTag.hasPrefix("W/") { return entityTag }
    return lastModified
  }

  /// The size of the whole file, where the server tells.
  var size: Int? { status == 206 ? rangeTotal : contentLength }

  /// Whether the body is the whole file, so that a part on disk must go.
  var restarts: Bool { status != 206 }

  /// Takes in one line, with or without its end.
  mutating func take(_ line: String) {
    if line.hasPrefix("HTTP/") {
      self = HTTPResponseHead()
      let words = line.split(whereSeparator: { $0 == " " || $0.isNewline })
      status = words.count > 1 ? Int(words[1]) ?? 0 : 0
      return
    }
    guard let colon = line.firstIndex(of: ":") else { return }
    let value = Self.trimmed(line[line.index(after: colon)...])
    switch line[..<colon].lowercased() {
    case "etag": entityTag = value
    case "last-modified": lastModified = value
    case "content-length": contentLength = Int(value).flatMap { $0 >= 0 ? $0 : nil }
    case "content-range": takeRange(value)
    default: break
    }
  }

  /// `bytes 100-199/1000`, the total possibly `*`.
  private mutating func takeRange(_ value: String) {
    guard value.lowercased().hasPrefix("bytes ") else { return }
    let parts = value.dropFirst(6).split(separator: "/")
    guard parts.count == 2, let dash = parts[0].firstIndex(of: "-") else { return }
    rangeStart = Int(parts[0][..<dash])
    rangeTotal = Int(parts[1])
  }

  private static func trimmed(_ text: Substring) -> String {
    var part = text
    while let first = part.first, first.isWhitespace { part.removeFirst() }
    while let last = part.last, last.isWhitespace { part.removeLast() }
    return String(part)
  }
}
