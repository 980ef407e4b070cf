import Glibc

/// Times as RFC 3339 writes them, in UTC.
enum Timestamp {
  /// Now, to a millisecond: `2026-01-31T12:34:56.789Z`.
  static func now() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return text(now.tv_sec) + ".\("\(1000 + now.tv_nsec / 1_000_000)".dropFirst())Z"
  }

  /// Seconds since 1970: `2026-01-31T12:34:56Z`.
  static func of(_ seconds: Int) -> String { text(seconds) + "Z" }

  private static func text(_ seconds: Int) -> String {
    var (seconds, parts) = (seconds, tm())
    gmtime_r(&seconds, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
