/// An allowance that refills steadily up to a minute's worth: what is taken beyond it has to be waited for.
struct RateLimit: Sendable {
  /// Units a minute.
  let limit: Int
  /// What is left; below 0 after an answer that was longer than what was left.
  private var level: Double
  private var time: Double

  /// A full allowance. `now` in seconds of any steady clock, as below.
  init(limit: Int, now: Double) {
    self.limit = limit
    level = Double(limit)
    time = now
  }

  private mutating func refill(_ now: Double) {
    level = min(Double(limit), level + max(0, now - time) * Double(limit) / 60)
    time = now
  }

  /// Takes so many units where at least one (or as many as are asked for, if the limit is larger) is left.
  ///
  /// - Returns: nil, or the seconds to wait where there are too few.
  mutating func take(_ count: Int, now: Double) -> Double? {
    refill(now)
    let needed = Double(min(max(1, count), limit))
    guard level >= needed else { return (needed - level) * 60 / Double(limit) }
    level -= Double(count)
    return nil
  }

  /// Takes units that have been used already.
  mutating func charge(_ count: Int, now: Double) {
    refill(now)
    level -= Double(count)
  }

  /// What is left now, and the seconds until the allowance is full again.
  mutating func state(now: Double) -> (remaining: Int, resetSeconds: Double) {
    refill(now)
    return (max(0, Int(level)), (Double(limit) - level) * 60 / Double(limit))
  }

  /// A time as OpenAI's headers have it: `120ms`, `1.5s`, `6m0s`.
  static func text(seconds: Double) -> String {
    let milliseconds = Int((seconds * 1000).rounded(.up))
    if milliseconds < 1000 { return "\(milliseconds)ms" }
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000)
    let tenths = (rest + 99) / 100
    let text = tenths % 10 == 0 ? "\(tenths / 10)s" : "\(tenths / 10).\(tenths % 10)s"
    return minutes > 0 ? "\(minutes)m\(text)" : text
  }
}
