import AngelCore
import AngelHCF

/// The fields that Ollama's requests for answers share.
enum OllamaFields {
  static let model = RequestField("model", .string, isRequired: true, "which model; ':latest' may follow its name")
  static let keepAlive = RequestField.withoutEffect(
    "keep_alive", .oneOf([.number(-1e18...1e18), .string]), "models stay while there is room")
  private static let levels = ["low", "medium", "high"]

  static let answers: [RequestField] = [
    model, keepAlive,
    RequestField("stream", .boolean, "send the answer line by line while it is made; default true"),
    RequestField(
      "format", .oneOf([.choice(["", "json"]), .anyObject]), "what the answer must be: JSON, or what a schema accepts"),
    RequestField(
      "think", .oneOf([.boolean, .choice(levels)]),
      "whether to think first, where the model's template has a switch; a level means true"),
    RequestField("logprobs", .boolean, "report the log-probability of each token"),
    RequestField("top_logprobs", .integer(0...20), "and of so many likeliest in each place"),
    RequestField("options", .object(options), "how answers are drawn"),
    .refused("truncate", "what is too long is refused", unless: [false]),
    .refused("shift", "an answer ends where the context does", unless: [false]),
  ]

  private static let loading = "said when the server is started"
  /// Options as Ollama's model files have them.
  static let options: [RequestField] =
    [
      RequestField(
        "num_predict", .integer(-2...1 << 24), "the longest answer in tokens; below 0: what the context leaves"),
      RequestField("temperature", .number(0...100), "0 takes the likeliest token; default 0.8"),
      RequestField("top_k", .integer(0...1 << 24), "keep the k likeliest tokens; 0 keeps all; default 40"),
      RequestField("top_p", .number(0...1), "keep the likeliest tokens of this total share; default 0.9"),
      RequestField("min_p", .number(0...1), "keep tokens with this share of the likeliest one's"),
      RequestField("repeat_penalty", .number(0.01...100), "divides the logits of tokens seen so far; default 1, off"),
      RequestField("presence_penalty", .number(-2...2), "subtracted from tokens that the answer has used"),
      RequestField("frequency_penalty", .number(-2...2), "subtracted for each use of a token in the answer"),
      RequestField("seed", .integer(-1 << 53...1 << 53), "the same seed gives the same answer"),
      RequestField("stop", .oneOf([.string, .array(.string, 0...64)]), "end the answer before any of these texts"),
      .refused("repeat_last_n", "the penalty looks at everything", unless: [-1]),
      .refused("tfs_z", "use min_p", unless: [1, 1.0]), .refused("typical_p", "use min_p", unless: [1, 1.0]),
      .refused("mirostat", "use min_p", unless: [0]),
    ]
    + ["mirostat_tau", "mirostat_eta"].map { .withoutEffect($0, .number(0...1e18), "there is no mirostat") }
    + ["num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep"].map {
      .withoutEffect($0, .integer(-1 << 53...1 << 53), loading)
    }
    + ["use_mmap", "use_mlock", "low_vram", "f16_kv", "numa", "vocab_only", "logits_all", "embedding_only"].map {
      .withoutEffect($0, .boolean, loading)
    } + [.withoutEffect("penalize_newline", .boolean, "a line end is a token like others")]

  /// The parameters that a checked body asks for.
  static func sampling(_ body: RequestBody) throws(APIError) -> SamplingParameters {
    let options = body.object("options") ?? JSONObject()
    func number(_ name: String) -> Float? { options[name]?.double.map { Float($0) } }
    var sampling = SamplingParameters()
    // As Ollama has them where nothing is said.
    sampling.temperature = number("temperature") ?? 0.8
    sampling.topK = options["top_k"]?.integer ?? 40
    sampling.topP = number("top_p") ?? 0.9
    sampling.minP = number("min_p") ?? 0
    sampling.repetitionPenalty = number("repeat_penalty") ?? 1
    sampling.presencePenalty = number("presence_penalty") ?? 0
    sampling.frequencyPenalty = number("frequency_penalty") ?? 0
    sampling.seed = options["seed"]?.integer
    sampling.stop = options["stop"]?.string.map { [$0] } ?? options["stop"]?.array?.compactMap(\.string) ?? []
    if body.flag("logprobs") ?? false {
      sampling.logprobs = body.integer("top_logprobs") ?? 0
    } else if body.integer("top_logprobs") ?? 0 > 0 {
      throw .invalid("top_logprobs", "goes with \"logprobs\": true")
    }
    return try SamplingFields.checked(sampling) {
      "options." + ($0 == "repetition_penalty" ? "repeat_penalty" : $0)
    }
  }

  /// The longest answer; nil: what the context leaves.
  static func limit(_ body: RequestBody) throws(APIError) -> Int? {
    let count = body.object("options")?["num_predict"]?.integer ?? -1
    guard count != 0 else { throw .invalid("options.num_predict", "is 0: it must be at least 1, or below 0") }
    return count < 0 ? nil : count
  }

  /// Whether to think first; nil: as the model's template has it. How much is the model's to say.
  static func thinks(_ call: APICall) -> Bool? {
    guard let level = call.body.string("think") else { return call.body.flag("think") }
    call.ignore("think: \(level)")
    return true
  }

  /// Whether a model is to go from memory at once: `keep_alive` is 0, as a number or as a duration such as `0s`.
  static func asksToUnload(_ body: RequestBody) -> Bool {
    guard let text = body.string("keep_alive") else { return body["keep_alive"]?.double == 0 }
    let number = text.prefix { ("0"..."9").contains($0) || $0 == "." }
    return Double(number) == 0 && ["", "ns", "us", "ms", "s", "m", "h"].contains(text.dropFirst(number.count))
  }

  /// What the answer must be; nil: anything.
  static func format(_ body: RequestBody) -> FormatFields.Asked? {
    switch body["format"] {
    case .object?: FormatFields.Asked(format: .jsonSchema(body["format"] ?? nil), field: "format")
    case .string("json")?: FormatFields.Asked(format: .jsonObject, field: "format")
    default: nil
    }
  }
}

extension APICall {
  /// The model that a body of Ollama's names, with `work` called once it is loaded. `:latest` stands for no more than the name.
  func withOllamaModel(_ work: @escaping @Sendable (ModelUse) throws -> Void) throws(APIError) {
    try withModel(named: ollamaName(body.string("model") ?? ""), work)
  }

  /// A question without words, by which Ollama's clients have a model loaded, or unloaded. Here nobody may unload what
  /// others use: it is said, and nothing is done for it.
  func answerWithoutWords(in place: OllamaForm.Place) throws(APIError) {
    let asked = body.string("model") ?? ""
    if OllamaFields.asksToUnload(body) {
      try admitModel(ollamaName(asked))
      return send { OllamaForm.without(words: "unload", place, model: asked) }
    }
    try withOllamaModel { [self] use in
      _ = try engine(of: use)
      send { OllamaForm.without(words: "load", place, model: asked) }
    }
  }

  func ollamaName(_ asked: String) -> String {
    let tag = ":latest"
    return asked.hasSuffix(tag) && !server.shelf.names.contains(asked) ? String(asked.dropLast(tag.count)) : asked
  }
}
