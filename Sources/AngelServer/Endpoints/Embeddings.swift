import AngelCore
import AngelHCF
import AngelText
import Synchronization

/// `POST /v1/embeddings`: vectors of texts.
enum EmbeddingsEndpoint: Endpoint {
  static let path = "/v1/embeddings"
  static let summary = "A vector for each text: an encoder's, or the last token's final state of a language model"
  static let fields: [RequestField] = [
    RequestField("model", .string, "which model; the server's first where left out"),
    RequestField("input", PromptField.kind, isRequired: true, "a text, token ids, or several of either"),
    RequestField("encoding_format", .choice(["float", "base64"]), "numbers, or the bytes of float32, low byte first"),
    RequestField("dimensions", .integer(1...1 << 20), "must be the model's own"),
    RequestField(
      "truncate_prompt_tokens", .integer(-1...1 << 20), "take so many tokens of a longer text; -1: what fits (vLLM)"),
    .withoutEffect("user", .string, "requests are told apart by their key"),
  ]

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      let prompts = try PromptField.prompts(call.body, "input", use.model)
      let texts = try fitting(prompts.map(\.tokens), call.body, use.model)
      let job = Job(call, use, texts)
      defer { job.watchKey() }
      switch use.model {
      case .encoder(let engine):
        try checkWidth(engine.width, call.body)
        try check(texts, vocabularySize: engine.vocabularySize)
        try engine.embed(texts) { job.finish($0) }
      case .language(let engine):
        try check(texts, vocabularySize: engine.vocabularySize)
        try job.run(on: engine)
      }
    }
  }

  /// The texts, cut where the request allows it. A text that is cut keeps the special token at its end.
  private static func fitting(_ texts: [[Int32]], _ body: RequestBody, _ model: LoadedModel) throws(APIError)
    -> [[Int32]]
  {
    let wanted = body.integer("truncate_prompt_tokens")
    let limit = wanted.map { $0 > 0 ? min($0, model.contextLength) : model.contextLength } ?? model.contextLength
    var result: [[Int32]] = []
    for (index, text) in texts.enumerated() {
      guard !text.isEmpty else { throw .invalid("input[\(index)]", "has no tokens: give some text") }
      guard text.count > limit, let last = text.last else {
        result.append(text)
        continue
      }
      guard wanted != nil else {
        throw .contextExceeded("input[\(index)]", tokens: text.count, answer: 0, limit: limit)
      }
      result.append(model.tokenizer.isSpecial(last) ? text.prefix(limit - 1) + [last] : Array(text.prefix(limit)))
    }
    return result
  }

  private static func check(_ texts: [[Int32]], vocabularySize: Int) throws(APIError) {
    for text in texts {
      for token in text where Int(token) >= vocabularySize {
        throw .invalid("input", "has token \(token): the vocabulary has ids from 0 to \(vocabularySize - 1)")
      }
    }
  }

  fileprivate static func checkWidth(_ width: Int, _ body: RequestBody) throws(APIError) {
    if let wanted = body.integer("dimensions"), wanted != width {
      throw .invalid("dimensions", "is \(wanted): this model's vectors have \(width) numbers, and are not cut")
    }
  }

  /// Texts on their way through an engine.
  private final class Job: Sendable {
    private let call: APICall
    private let use: ModelUse
    private let tokenCount: Int
    private let texts: [[Int32]]
    private let state: Mutex<State>

    private struct State {
      var vectors: [[Float]]
      var left: Int
      var tickets: [ServingTicket] = []
      var isOver = false
      /// Whether it has been answered.
      var hasEnded = false
      /// Stops watching the key.
      var unwatch: (@Sendable () -> Void)?
    }

    init(_ call: APICall, _ use: ModelUse, _ texts: [[Int32]]) {
      self.call = call
      self.use = use
      self.texts = texts
      tokenCount = texts.reduce(0) { $0 + $1.count }
      state = Mutex(State(vectors: Array(repeating: [], count: texts.count), left: texts.count))
    }

    /// Texts one by one: the engine batches them with what else it has.
    func run(on engine: any ServingEngine) throws {
      for (index, text) in texts.enumerated() {
        do {
          let ticket = try engine.embed(text) { [self] result in take(result, index) }
          let isOver = state.withLock { state in
            state.tickets.append(ticket)
            return state.isOver
          }
          if isOver { ticket.cancel() }
        } catch {
          cancel()
          throw error
        }
      }
      call.exchange.whenGone { [self] in cancel() }
    }

    /// Ends the request when the key it came with is revoked.
    func watchKey() {
      guard let key = call.key, let keys = call.server.keys else { return }
      let end = keys.watch(key) { [self] in
        cancel()
        finish(.failure(APIError.keyLost))
      }
      let isEnded = state.withLock { state in
        if !state.hasEnded { state.unwatch = end }
        return state.hasEnded
      }
      if isEnded { end() }
    }

    private func cancel() {
      let tickets = state.withLock { state in
        state.isOver = true
        return state.tickets
      }
      for ticket in tickets { ticket.cancel() }
    }

    private func take(_ result: Result<[Float], any Error>, _ index: Int) {
      let end = state.withLock { state -> Result<[[Float]], any Error>? in
        guard !state.isOver else { return nil }
        switch result {
        case .success(let vector):
          state.vectors[index] = vector
          state.left -= 1
          state.isOver = state.left == 0
          return state.isOver ? .success(state.vectors) : nil
        case .failure(let error):
          state.isOver = true
          return .failure(error)
        }
      }
      guard let end else { return }
      // Where one text fails the others are not needed.
      if case .failure = end { for ticket in state.withLock(\.tickets) { ticket.cancel() } }
      finish(end)
    }

    func finish(_ result: Result<[[Float]], any Error>) {
      let (isFirst, unwatch) = state.withLock { state in
        defer { (state.hasEnded, state.unwatch) = (true, nil) }
        return (!state.hasEnded, state.unwatch)
      }
      unwatch?()
      guard isFirst else { return }
      do {
        let vectors = try result.get()
        if let first = vectors.first { try EmbeddingsEndpoint.checkWidth(first.count, call.body) }
        var usage = ServingUsage()
        usage.promptTokens = tokenCount
        call.charge(usage)
        let (name, tokens) = (use.name, tokenCount)
        let isBase64 = call.body.string("encoding_format") == "base64"
        call.send {
          [
            "object": "list",
            "data": .array(
              vectors.enumerated().map { index, vector in
                [
                  "object": "embedding", "index": .integer(index),
                  "embedding": isBase64 ? .string(Self.packed(vector)) : .array(vector.map(Self.number)),
                ]
              }), "model": .string(name),
            "usage": ["prompt_tokens": .integer(tokens), "total_tokens": .integer(tokens)],
          ]
        }
      } catch {
        call.fail(error)
      }
    }

    /// The bytes of float32 values, low byte first, in base64.
    private static func packed(_ values: [Float]) -> String {
      Base64.encode(values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } })
    }

    /// The shortest text that reads back as the same float32.
    private static func number(_ value: Float) -> JSONValue { .number(Double(value.description) ?? Double(value)) }
  }
}
