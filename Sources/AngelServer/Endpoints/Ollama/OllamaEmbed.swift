import AngelCore
import AngelHCF

/// `POST /api/embed`: vectors of texts, as Ollama has it.
enum OllamaEmbedEndpoint: Endpoint {
  static let path = "/api/embed"
  static let summary = "A vector for each text, as Ollama has it"
  static let fields: [RequestField] = [
    OllamaFields.model, OllamaFields.keepAlive,
    RequestField("input", .oneOf([.string, .array(.string, 1...2048)]), isRequired: true, "a text, or several"),
    RequestField("truncate", .boolean, "cut what is too long; default true"),
    RequestField("dimensions", .integer(1...1 << 20), "must be the model's own"),
    .withoutEffect("options", .anyObject, "vectors are not drawn"),
  ]

  static func respond(_ call: APICall) throws {
    let begin = MonotonicClock.seconds()
    try call.withOllamaModel { use in
      let body = call.body
      let loaded = MonotonicClock.seconds()
      let cuts = body.flag("truncate") ?? true
      let texts = try EmbeddingTexts(
        body.strings("input").map { try use.model.tokens(of: $0) }, limit: cuts ? -1 : nil, use.model,
        dimensions: body.integer("dimensions")
      ) { "input[\($0)]" }
      try EmbeddingJob.run(texts, use, call) { vectors in
        [
          "model": .string(body.string("model") ?? use.name), "embeddings": .array(vectors.map(\.json)),
          "total_duration": .integer(Int((MonotonicClock.seconds() - begin) * 1e9)),
          "load_duration": .integer(Int((loaded - begin) * 1e9)), "prompt_eval_count": .integer(texts.tokenCount),
        ]
      }
    }
  }
}
