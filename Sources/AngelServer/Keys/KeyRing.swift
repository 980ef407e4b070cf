public import AngelCore
import Synchronization

/// The keys that a server takes, read again whenever their file changes, and what each has used.
public final class KeyRing: Sendable {
  private let file: KeyFile
  private let log: Log
  private let state: Mutex<State>

  private struct State {
    var stamp: KeyFile.Stamp?
    /// By digest.
    var keys: [String: APIKey]
    var usage: [String: Usage] = [:]
    /// What to do when a key is revoked, by digest and request.
    var watchers: [String: [UInt64: @Sendable () -> Void]] = [:]
    var nextWatcher: UInt64 = 0
  }

  private struct Usage {
    var requests: RateLimit?
    var tokens: RateLimit?
  }

  /// Reads the file; from now on `refresh` follows it.
  public init(_ file: KeyFile, log: Log) throws {
    self.file = file
    self.log = log
    let stamp = file.stamp()
    let keys = try file.read()
    state = Mutex(State(stamp: stamp, keys: Self.byDigest(keys)))
  }

  private static func byDigest(_ keys: [APIKey]) -> [String: APIKey] {
    Dictionary(keys.map { ($0.digest, $0) }, uniquingKeysWith: { $1 })
  }

  /// The key of that text. The digest is looked up, not the text: how long that takes tells nothing about other keys.
  func key(_ text: String) -> APIKey? {
    let digest = APIKey.digest(of: text)
    return state.withLock { $0.keys[digest] }
  }

  /// Follows the file: keys that are gone, or whose rights have changed, end the requests they began.
  func refresh() {
    let stamp = file.stamp()
    guard state.withLock({ $0.stamp != stamp }) else { return }
    do {
      let keys = Self.byDigest(try file.read())
      let calls = state.withLock { state -> [@Sendable () -> Void] in
        let lost = state.keys.filter { keys[$0.key] != $0.value }.map(\.key)
        state.stamp = stamp
        state.keys = keys
        for digest in lost { state.usage[digest] = nil }
        return lost.flatMap { state.watchers.removeValue(forKey: $0).map { Array($0.values) } ?? [] }
      }
      log.note("read \(keys.count) keys")
      for call in calls { call() }
    } catch {
      // The keys that were read before stay: a file that is damaged must not let everybody in, nor lock everybody out.
      state.withLock { $0.stamp = stamp }
      log.warning("\(error): the keys read before stay in force")
    }
  }

  /// Calls `body` when the key is revoked or its rights change, until the function returned is called; at once where that
  /// has happened already.
  func watch(_ key: APIKey, _ body: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
    let id = state.withLock { state -> UInt64? in
      guard state.keys[key.digest] == key else { return nil }
      state.nextWatcher += 1
      state.watchers[key.digest, default: [:]][state.nextWatcher] = body
      return state.nextWatcher
    }
    guard let id else {
      body()
      return {}
    }
    return { [self] in state.withLock { $0.watchers[key.digest]?[id] = nil } }
  }

  /// Counts a request; throws where the key has used up its requests or tokens.
  func begin(_ key: APIKey, now: Double) throws(APIError) {
    let wait = state.withLock { state -> (String, Double)? in
      // Its limits of now, which the file may have changed since it was shown.
      guard let key = state.keys[key.digest] else { return nil }
      var usage = Self.usage(of: key, &state, now)
      defer { state.usage[key.digest] = usage }
      if let wait = usage.tokens?.take(0, now: now) { return ("tokens", wait) }
      return usage.requests?.take(1, now: now).map { ("requests", $0) }
    }
    guard let (what, seconds) = wait else { return }
    let limit = (what == "tokens" ? key.tokensPerMinute : key.requestsPerMinute) ?? 0
    throw APIError(
      status: 429, type: what,
      "key '\(key.name)' has used up its \(limit) \(what) a minute: try again in \(RateLimit.text(seconds: seconds))",
      code: "rate_limit_exceeded", retryAfter: Int(seconds.rounded(.up)))
  }

  /// Counts tokens that a request took.
  func charge(_ key: APIKey, tokens: Int, now: Double) {
    state.withLock { state in
      guard let key = state.keys[key.digest] else { return }
      var usage = Self.usage(of: key, &state, now)
      usage.tokens?.charge(tokens, now: now)
      state.usage[key.digest] = usage
    }
  }

  /// OpenAI's headers about what is left.
  func headers(_ key: APIKey, now: Double) -> [(name: String, value: String)] {
    state.withLock { state in
      guard let key = state.keys[key.digest] else { return [] }
      var usage = Self.usage(of: key, &state, now)
      var headers: [(name: String, value: String)] = []
      for (what, path) in [("requests", \Usage.requests), ("tokens", \Usage.tokens)] {
        guard let limit = usage[keyPath: path]?.limit, let left = usage[keyPath: path]?.state(now: now) else {
          continue
        }
        headers.append(("x-ratelimit-limit-\(what)", "\(limit)"))
        headers.append(("x-ratelimit-remaining-\(what)", "\(left.remaining)"))
        headers.append(("x-ratelimit-reset-\(what)", RateLimit.text(seconds: left.resetSeconds)))
      }
      state.usage[key.digest] = usage
      return headers
    }
  }

  private static func usage(of key: APIKey, _ state: inout State, _ now: Double) -> Usage {
    state.usage[key.digest]
      ?? Usage(
        requests: key.requestsPerMinute.map { RateLimit(limit: $0, now: now) },
        tokens: key.tokensPerMinute.map { RateLimit(limit: $0, now: now) })
  }
}
