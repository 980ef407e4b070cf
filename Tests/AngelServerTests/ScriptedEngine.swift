import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelTesting
import AngelText
import Synchronization

/// An engine that says what a script says, token by token, so that every byte of an answer is known beforehand.
final class ScriptedEngine: ServingEngine {
  let contextLength = 256
  let tokenizer: Tokenizer
  let chatTemplate: ChatTemplate?
  let constraints: ConstraintCompiler
  var vocabularySize: Int { tokenizer.vocabularySize }
  /// The tokens of every answer.
  private let script: [Int32]
  private let jobs = Mailbox<Job?>()
  private let state = Mutex(State())

  private struct State {
    var nextID: UInt64 = 0
    var cancelled: Set<UInt64> = []
    var isDraining = false
    /// Whether answers stop after their first token until they are let go on.
    var holds = false
    var refusesWith: ServingRefusal?
    var failsWith: (any DescribedError)?
    var requests: [ServingRequest] = []
    var ended = 0
    var embedded = 0
    var onDrained: [@Sendable () -> Void] = []
  }

  private struct Job: Sendable {
    let id: UInt64
    let run: @Sendable () -> Void
  }

  static let template = """
    {% for m in messages %}{{ m.role }}: {{ m.content }}
    {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}
    """

  init(_ text: String = "Hello there.", template: String? = ScriptedEngine.template) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/llama-tiny"))
    tokenizer = try Tokenizer(checkpoint.tokenizer())
    chatTemplate = try template.map { try ChatTemplate($0) }
    constraints = ConstraintCompiler(tokenizer, endTokens: checkpoint.endTokens(for: tokenizer))
    script = try tokenizer.encode(text, addingSpecialTokens: false)
    let jobs = jobs
    try DedicatedThread {
      while true {
        for job in jobs.receive(waits: true) {
          guard let job else { return }
          job.run()
        }
      }
    }.detach()
  }

  deinit { jobs.send(nil) }

  // What tests set and ask

  func hold(_ holds: Bool) { state.withLock { $0.holds = holds } }
  func refuse(with refusal: ServingRefusal?) { state.withLock { $0.refusesWith = refusal } }
  func fail(with error: (any DescribedError)?) { state.withLock { $0.failsWith = error } }
  var requests: [ServingRequest] { state.withLock(\.requests) }
  var cancelledCount: Int { state.withLock { $0.cancelled.count } }
  var endedCount: Int { state.withLock(\.ended) }
  /// Texts whose vectors were asked for.
  var embeddedCount: Int { state.withLock(\.embedded) }

  // The engine

  func submit(_ request: ServingRequest, onEvent: @escaping @Sendable (ServingEvent) -> Void) throws -> ServingTicket {
    let id = try enter { $0.requests.append(request) }
    jobs.send(Job(id: id) { [self] in answer(request, id, onEvent) })
    return ServingTicket(id: id) { [self] in state.withLock { _ = $0.cancelled.insert(id) } }
  }

  func embed(_ tokens: [Int32], onResult: @escaping @Sendable (Result<[Float], any Error>) -> Void) throws
    -> ServingTicket
  {
    let id = try enter { $0.embedded += 1 }
    jobs.send(
      Job(id: id) { [self] in
        while state.withLock(\.holds), !isCancelled(id) { waitALittle() }
        onResult(isCancelled(id) ? .failure(Interrupted()) : .success([Float(tokens.count), 0.5, -1]))
        end()
      })
    return ServingTicket(id: id) { [self] in state.withLock { _ = $0.cancelled.insert(id) } }
  }

  private func enter(_ note: (inout State) -> Void) throws(ServingRefusal) -> UInt64 {
    try state.withLock { state throws(ServingRefusal) in
      if let refusal = state.refusesWith { throw refusal }
      if state.isDraining { throw .draining }
      note(&state)
      state.nextID += 1
      return state.nextID
    }
  }

  private func isCancelled(_ id: UInt64) -> Bool { state.withLock { $0.cancelled.contains(id) } }

  private func answer(_ request: ServingRequest, _ id: UInt64, _ onEvent: (ServingEvent) -> Void) {
    defer { end() }
    if let error = state.withLock(\.failsWith) { return onEvent(.failed(error)) }
    if let count = request.promptLogprobs {
      onEvent(
        .prompt(
          request.prompt.enumerated().map { index, token in
            index == 0 ? SampledToken(token: Int(token)) : sampled(token, index, count)
          }))
    }
    let length = min(request.sampling.maxTokens ?? .max, script.count)
    for answer in 0..<request.answerCount {
      var decoder = IncrementalDecoder(tokenizer)
      var stops = StopSequenceMatcher(request.sampling.stop)
      for index in 0..<length where stops.matched == nil {
        if index == 1 { while state.withLock(\.holds), !isCancelled(id) { waitALittle() } }
        if isCancelled(id) { return onEvent(.failed(Interrupted())) }
        let text = stops.append((try? decoder.append(script[index])) ?? "").text
        let tokens = request.sampling.logprobs.map { sampled(script[index], index, $0) }
        onEvent(
          .piece(ServingPiece(answer: answer, text: text, tokens: [tokens ?? SampledToken(token: Int(script[index]))])))
      }
      let rest = decoder.finish() + (stops.matched == nil ? stops.finish() : "")
      if !rest.isEmpty { onEvent(.piece(ServingPiece(answer: answer, text: rest, tokens: []))) }
      onEvent(
        .finished(
          answer: answer, stops.matched != nil || length == script.count ? .stop : .length, stopText: stops.matched))
    }
    var usage = ServingUsage()
    usage.promptTokens = request.prompt.count
    usage.completionTokens = length * request.answerCount
    onEvent(.done(usage))
  }

  /// Token i has a log-probability of -(i + 1) / 4, and is the likeliest.
  private func sampled(_ token: Int32, _ index: Int, _ count: Int) -> SampledToken {
    let own = -Float(index + 1) / 4
    let top = (0..<count).map { TokenLogProbability(token: Int(token) + $0, logProbability: own - Float($0)) }
    return SampledToken(token: Int(token), logProbability: own, top: top)
  }

  private func end() {
    let calls = state.withLock { state -> [@Sendable () -> Void] in
      state.ended += 1
      guard state.isDraining, state.ended == state.nextID else { return [] }
      defer { state.onDrained = [] }
      return state.onDrained
    }
    for call in calls { call() }
  }

  var statistics: ServingStatistics {
    state.withLock { state in
      var statistics = ServingStatistics()
      statistics.running = Int(state.nextID) - state.ended
      statistics.blockLimit = 16
      return statistics
    }
  }

  func drain(onEnd: @escaping @Sendable () -> Void) {
    let isOver = state.withLock { state in
      state.isDraining = true
      if state.ended < state.nextID { state.onDrained.append(onEnd) }
      return state.ended >= state.nextID
    }
    if isOver { onEnd() }
  }
}
