import Glibc
import Synchronization

/// Makes progress displays of one style; a command passes it to whatever runs long.
public struct ProgressReporter: Sendable {
  /// How progress is shown.
  public enum Style: Sendable, Hashable {
    /// One line redrawn in place, as wide as the terminal on this file descriptor.
    case bar(descriptor: Int32)
    /// A plain line every few seconds, for logs and pipes.
    case lines
    /// One JSON object a line, `{"progress":…,"completed":…,"total":…,"seconds":…}`.
    case json
    case silent
  }

  public let style: Style
  private let write: @Sendable (String) -> Void
  private let now: @Sendable () -> Double

  /// - Parameters:
  ///   - write: receives pieces of text, line ends and cursor movements included.
  ///   - now: seconds on a clock that never goes back.
  public init(
    style: Style, write: @escaping @Sendable (String) -> Void,
    now: @escaping @Sendable () -> Double = { MonotonicClock.seconds() }
  ) {
    self.style = style
    self.write = write
    self.now = now
  }

  /// Shows nothing.
  public static let silent = ProgressReporter(style: .silent, write: { _ in })

  /// Starts a display of work worth `total` units, or of unknown extent.
  public func start(_ label: String, total: Int?, unit: ProgressUnit = .bytes, from completed: Int = 0)
    -> ProgressDisplay
  {
    ProgressDisplay(label: label, total: total, unit: unit, from: completed, style: style, write: write, now: now)
  }
}

/// What a progress display counts.
public enum ProgressUnit: Sendable, Hashable {
  case bytes
  /// A noun in the plural: `tokens`.
  case items(String)

  func text(_ count: Int) -> String {
    switch self {
    case .bytes: TextFormat.bytes(count)
    case .items(let noun): "\(count) \(noun)"
    }
  }

  func rateText(_ rate: Double) -> String {
    switch self {
    case .bytes: TextFormat.bytes(Int(min(max(rate, 0), 1e18))) + "/s"
    case .items: TextFormat.fixed(rate, digits: rate < 10 ? 2 : 0) + "/s"
    }
  }
}

/// Seconds since an arbitrary moment, on a clock that never goes back.
public enum MonotonicClock {
  public static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

/// One running display of progress: a bar with rate and time left, plain lines, JSON lines, or nothing.
public final class ProgressDisplay: Sendable {
  private struct State {
    var label: String
    var completed: Int
    var total: Int?
    var lastDrawn: Double
    var hasDrawn = false
    var isFinished = false
  }

  private let unit: ProgressUnit
  private let style: ProgressReporter.Style
  private let write: @Sendable (String) -> Void
  private let now: @Sendable () -> Double
  private let start: (time: Double, completed: Int)
  private let state: Mutex<State>

  init(
    label: String, total: Int?, unit: ProgressUnit, from completed: Int, style: ProgressReporter.Style,
    write: @escaping @Sendable (String) -> Void, now: @escaping @Sendable () -> Double
  ) {
    self.unit = unit
    self.style = style
    self.write = write
    self.now = now
    let time = now()
    start = (time, completed)
    state = Mutex(State(label: label, completed: completed, total: total, lastDrawn: time))
  }

  /// Sets how much is done and, where it has become known, how much there is; or what is being done now.
  public func update(to completed: Int, total: Int? = nil, label: String? = nil) {
    state.withLock { state in
      state.completed = completed
      if let label { state.label = label }
      if let total { state.total = total }
      drawIfDue(&state)
    }
  }

  /// Adds to how much is done.
  public func advance(by count: Int) {
    state.withLock { state in
      state.completed += count
      drawIfDue(&state)
    }
  }

  /// Draws the last state and leaves the line, so that other output can follow.
  public func finish() {
    state.withLock { state in
      guard !state.isFinished else { return }
      state.isFinished = true
      // Plain output says nothing about what was over before the first line was due.
      if case .lines = style, !state.hasDrawn { return }
      draw(state, ends: true)
    }
  }

  /// Clears a bar from its line without a last word, before an error is shown.
  public func abandon() {
    state.withLock { state in
      guard !state.isFinished else { return }
      state.isFinished = true
      if case .bar = style, state.hasDrawn { write("\r\u{1B}[K") }
    }
  }

  deinit { abandon() }

  private func drawIfDue(_ state: inout State) {
    let interval: Double =
      switch style {
      case .bar: 0.1
      case .lines: 5
      case .json: 1
      case .silent: .infinity
      }
    let time = now()
    guard !state.isFinished, time - state.lastDrawn >= interval else { return }
    state.lastDrawn = time
    state.hasDrawn = true
    draw(state, ends: false)
  }

  private func draw(_ state: State, ends: Bool) {
    let elapsed = max(now() - start.time, 1e-6)
    switch style {
    case .silent: break
    case .lines: write(summary(state, elapsed: elapsed) + "\n")
    case .json:
      write(
        JSONValue.object(
          JSONObject([
            ("progress", .string(state.label)), ("completed", .integer(state.completed)),
            ("total", state.total.map { .integer($0) } ?? .null),
            ("seconds", .number((elapsed * 1000).rounded() / 1000)),
          ])
        ).encoded() + "\n")
    case .bar(let descriptor):
      let width = TerminalSize.columns(of: descriptor) ?? 80
      write("\r\u{1B}[K" + bar(state, elapsed: elapsed, width: width) + (ends ? "\n" : ""))
    }
  }

  private func summary(_ state: State, elapsed: Double) -> String {
    let rate = Double(state.completed - start.completed) / elapsed
    var text = "\(state.label): \(unit.text(state.completed))"
    if let total = state.total, total > 0 {
      text += " of \(unit.text(total)) (\(min(100, state.completed * 100 / total)) %)"
    }
    text += ", \(unit.rateText(rate))"
    if let left = secondsLeft(state, rate: rate) { text += ", \(TextFormat.duration(seconds: left)) left" }
    return text
  }

  /// `label [=====>    ]  42 % 41.3 MB/98.4 MB 10.1 MB/s 0:06`, never wider than the terminal.
  func bar(_ completed: Int, of total: Int?, elapsed: Double, width: Int) -> String {
    bar(
      State(label: state.withLock { $0.label }, completed: completed, total: total, lastDrawn: 0), elapsed: elapsed,
      width: width)
  }

  private func bar(_ state: State, elapsed: Double, width: Int) -> String {
    let rate = Double(state.completed - start.completed) / elapsed
    var facts = ""
    if let total = state.total, total > 0 {
      let percent = min(100, max(0, state.completed) * 100 / total)
      facts = String(repeating: " ", count: 3 - String(percent).count) + "\(percent) %  "
      facts += "\(unit.text(state.completed)) of \(unit.text(total))"
    } else {
      facts = unit.text(state.completed)
    }
    facts += "  " + unit.rateText(rate)
    if let left = secondsLeft(state, rate: rate) { facts += "  " + TextFormat.duration(seconds: left) }
    // The last column stays free: some terminals wrap when it is written.
    let room = width - 1 - DisplayWidth.of(state.label) - facts.count - 4
    guard let total = state.total, total > 0, room >= 8 else {
      return String((state.label + "  " + facts).prefix(max(0, width - 1)))
    }
    let cells = min(room, 40)
    let fraction = min(1, max(0, Double(state.completed) / Double(total)))
    let filled = Int((fraction * Double(cells)).rounded(.down))
    return state.label + " [" + String(repeating: "#", count: filled) + String(repeating: "-", count: cells - filled)
      + "] "
      + facts
  }

  private func secondsLeft(_ state: State, rate: Double) -> Double? {
    guard let total = state.total, total > state.completed, rate > 0 else { return nil }
    return Double(total - state.completed) / rate
  }
}

/// The size of the terminal behind a file descriptor.
public enum TerminalSize {
  /// Columns, or nil when the descriptor is no terminal or does not know.
  public static func columns(of descriptor: Int32) -> Int? {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }
}
