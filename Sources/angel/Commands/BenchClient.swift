import AngelCore
import AngelServer
import Glibc
import Synchronization

/// Sends one request of a load and takes the times of its stream.
struct BenchClient: Sendable {
  private let place: HTTPClient.Place
  private let model: String?
  private let key: String?

  /// What one request took, in seconds.
  struct Result: Sendable {
    var inputLength = 0
    var outputLength = 0
    var timeToFirstToken = 0.0
    /// Between two pieces of text.
    var gaps: [Double] = []
    var latency = 0.0
    var failure: String?
  }

  init(_ place: HTTPClient.Place, model: String?, key: String?) {
    self.place = place
    self.model = model
    self.key = key
  }

  /// Makes the request on a connection of its own. Throws `HTTPClientError` or `BenchServeError`.
  @discardableResult
  func run(_ request: ServingLoad.Request) throws -> Result {
    var headers = [(name: "content-type", value: "application/json")]
    if let key { headers.append(("authorization", "Bearer \(key)")) }
    let client = try HTTPClient(place)
    let clock = ContinuousClock()
    let begin = clock.now
    try client.send("POST", "/v1/completions", headers: headers, body: body(request))
    let head = try client.head()
    var reader = HTTPClient.BodyReader(head)
    guard head.status == 200 else {
      var text: [UInt8] = []
      while let piece = try client.piece(&reader) { text += piece }
      throw BenchServeError.answer(status: head.status, body: String(decoding: text, as: UTF8.self))
    }
    var result = Result()
    result.inputLength = request.prompt.count
    var events = EventReader()
    var last = begin
    var pieces = 0
    while let bytes = try client.piece(&reader) {
      let now = clock.now
      for event in events.append(bytes) where event != "[DONE]" {
        let json = try JSONValue(parsing: event)
        if let error = json["error"] { throw BenchServeError.answer(status: 200, body: error.encoded()) }
        if let tokens = json["usage"]?["completion_tokens"]?.integer { result.outputLength = tokens }
        guard json["choices"]?.array?.first?["text"]?.string?.isEmpty == false else { continue }
        pieces += 1
        if pieces == 1 {
          result.timeToFirstToken = (now - begin).seconds
        } else {
          result.gaps.append((now - last).seconds)
        }
        last = now
      }
    }
    guard pieces > 0 else { throw BenchServeError.empty }
    result.latency = (last - begin).seconds
    // A server that does not count is taken to send a token a piece.
    if result.outputLength == 0 { result.outputLength = pieces }
    return result
  }

  private func body(_ request: ServingLoad.Request) -> [UInt8] {
    var object = JSONObject([
      ("prompt", .array(request.prompt.map { .integer($0) })), ("max_tokens", .integer(request.outputLength)),
      ("temperature", 0), ("ignore_eos", true), ("stream", true), ("stream_options", ["include_usage": true]),
    ])
    if let model { object["model"] = .string(model) }
    return Array(JSONValue.object(object).encoded().utf8)
  }
}

/// Runs a load on threads that each wait for their next request's time.
enum BenchRun {
  /// The results in the order of the requests, and the seconds from the start to the last answer.
  static func run(
    _ load: ServingLoad, workers: Int, _ client: BenchClient, report: @escaping @Sendable (Int) -> Void
  ) throws -> (results: [BenchClient.Result], seconds: Double) {
    let clock = ContinuousClock()
    let begin = clock.now
    let shared = Shared(count: load.requests.count)
    try DedicatedThread.run(workers) { _ in
      while let index = shared.take() {
        let request = load.requests[index]
        let wait = request.arrival - (clock.now - begin).seconds
        if wait > 0 { usleep(UInt32(min(wait, 3600) * 1e6)) }
        var result = BenchClient.Result()
        do { result = try client.run(request) } catch { result.failure = "\(error)" }
        report(shared.put(result, at: index))
      }
    }
    return (shared.results, (clock.now - begin).seconds)
  }

  private final class Shared: Sendable {
    private let next = Atomic<Int>(0)
    private let all: Mutex<(results: [BenchClient.Result], done: Int)>
    private let count: Int

    init(count: Int) {
      self.count = count
      all = Mutex((Array(repeating: BenchClient.Result(), count: count), 0))
    }

    func take() -> Int? {
      let index = next.add(1, ordering: .relaxed).oldValue
      return index < count ? index : nil
    }

    func put(_ result: BenchClient.Result, at index: Int) -> Int {
      all.withLock { all in
        all.results[index] = result
        all.done += 1
        return all.done
      }
    }

    var results: [BenchClient.Result] { all.withLock { $0.results } }
  }
}
