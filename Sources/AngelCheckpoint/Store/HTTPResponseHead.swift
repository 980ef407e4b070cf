import Glibc

/// The parts of a response's head that a download needs, gathered line by line; each answer starts it anew.
struct HTTPResponseHead: Equatable {
  private(set) var status = 0
  private var entityTag: String?
  private var lastModified: String?
  private var contentLength: Int?
  private(set) var rangeStart: Int?
  private var rangeTotal: Int?
  private var retryAfter: String?
  private var rateLimit: String?
  /// What the Hub adds.
  private(set) var hub = HubHeaders()

  /// What a model hub says about a file or a failure, besides HTTP's own headers.
  struct HubHeaders: Equatable {
    /// The commit that the answer is about (`X-Repo-Commit`).
    var commit: String?
    /// The digest and the size of the file that a redirect leads to (`X-Linked-Etag`, `X-Linked-Size`).
    var linkedTag: String?
    var linkedSize: Int?
    /// `GatedRepo`, `RepoNotFound`, `RevisionNotFound`, `EntryNotFound` (`X-Error-Code`).
    var errorCode: String?
    var errorMessage: String?
  }

  /// What later asks for the rest of the same version: a strong entity tag, else the date of the last change.
  var validator: String? {
    if let entityTag, !entityTag.hasPrefix("W/") { return entityTag }
    return lastModified
  }

  /// Whether the host that was asked answered itself, and not one that it redirected to.
  var isFromOrigin = true

  /// What names the file's content: the Hub's tag for what it links to, else its own entity tag, without quotes.
  var contentTag: String? { (hub.linkedTag ?? (isFromOrigin ? entityTag : nil)).map(Self.bareTag) }

  /// The size of the whole file, where the server tells.
  var size: Int? { status == 206 ? rangeTotal : contentLength }

  /// Whether the body is the whole file, so that a part on disk must go.
  var restarts: Bool { status != 206 }

  /// Takes in one line, with or without its end.
  mutating func take(_ line: String) {
    if line.hasPrefix("HTTP/") {
      self = HTTPResponseHead()
      let words = line.split(whereSeparator: { $0 == " " || $0.isNewline })
      status = words.count > 1 ? Int(words[1]).flatMap { (100...999).contains($0) ? $0 : nil } ?? 0 : 0
      return
    }
    guard let colon = line.firstIndex(of: ":") else { return }
    let value = Self.trimmed(line[line.index(after: colon)...])
    switch line[..<colon].lowercased() {
    case "etag": entityTag = value
    case "last-modified": lastModified = value
    case "content-length": contentLength = Self.count(value)
    case "content-range": takeRange(value)
    case "retry-after": retryAfter = value
    case "ratelimit": rateLimit = value
    case "x-repo-commit": hub.commit = value
    case "x-linked-etag": hub.linkedTag = value
    case "x-linked-size": hub.linkedSize = Self.count(value)
    case "x-error-code": hub.errorCode = value
    case "x-error-message": hub.errorMessage = value
    default: break
    }
  }

  /// Keeps what the Hub said on the way to this answer, where this answer says nothing about it.
  mutating func keep(_ earlier: HubHeaders) {
    hub.commit = hub.commit ?? earlier.commit
    hub.linkedTag = hub.linkedTag ?? earlier.linkedTag
    hub.linkedSize = hub.linkedSize ?? earlier.linkedSize
  }

  /// Seconds that the server asks to wait before the next request: `Retry-After` as seconds or as a date (RFC 9110,
  /// 10.2.3), else the reset of an exhausted rate limit (draft-ietf-httpapi-ratelimit-headers-09: `"api";r=0;t=55`).
  ///
  /// - Parameter now: seconds since 1970.
  func wait(now: Int) -> Int? {
    if let retryAfter {
      if let seconds = Self.count(retryAfter) { return seconds }
      if let moment = Self.seconds(ofDate: retryAfter) { return max(0, moment - now) }
    }
    let parameters = (rateLimit ?? "").split(separator: ";").map { Self.trimmed($0) }
    guard parameters.contains("r=0"), let reset = parameters.first(where: { $0.hasPrefix("t=") }) else { return nil }
    return Self.count(String(reset.dropFirst(2)))
  }

  /// `bytes 100-199/1000`, the total possibly `*`.
  private mutating func takeRange(_ value: String) {
    guard value.lowercased().hasPrefix("bytes ") else { return }
    let parts = value.dropFirst(6).split(separator: "/")
    guard parts.count == 2, let dash = parts[0].firstIndex(of: "-") else { return }
    rangeStart = Self.count(String(parts[0][..<dash]))
    rangeTotal = Self.count(String(parts[1]))
  }

  /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of a date that servers may write (RFC 9110, 5.6.7).
  private static func seconds(ofDate text: String) -> Int? {
    let words = text.split(separator: " ")
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]),
      let month = months.firstIndex(of: String(words[2])), let year = Int32(words[3]), (1970...9999).contains(year)
    else { return nil }
    let clock = words[4].split(separator: ":").compactMap { Int32($0) }
    guard clock.count == 3 else { return nil }
    var parts = tm()
    (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (clock[0], clock[1], clock[2])
    return timegm(&parts)
  }

  /// A number that cannot be negative; digits alone, so that no sign and no space slips through.
  private static func count(_ text: String) -> Int? {
    text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
  }

  /// An entity tag's text, without its weakness mark and quotes.
  private static func bareTag(_ tag: String) -> String {
    var text = tag[...]
    if text.hasPrefix("W/") { text = text.dropFirst(2) }
    if text.count >= 2, text.first == "\"", text.last == "\"" { text = text.dropFirst().dropLast() }
    return String(text)
  }

  private static func trimmed(_ text: Substring) -> String {
    var part = text
    while let first = part.first, first.isWhitespace { part.removeFirst() }
    while let last = part.last, last.isWhitespace { part.removeLast() }
    return String(part)
  }
}
