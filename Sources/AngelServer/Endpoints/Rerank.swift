import AngelCore
import AngelHCF

/// `POST /v1/rerank`: documents by how well they answer a query, as Jina, Cohere and vLLM have it.
enum RerankEndpoint: Endpoint {
  static let path = "/v1/rerank"
  static let summary = "Documents by the cosine of their encoder's vectors with a query's, the best first"
  static let fields = Reranking.fields

  static func respond(_ call: APICall) throws { try Reranking.respond(call) }
}

/// `POST /rerank`: the same, where vLLM has it too.
enum PlainRerankEndpoint: Endpoint {
  static let path = "/rerank"
  static let summary = "The same as /v1/rerank"
  static let fields = Reranking.fields

  static func respond(_ call: APICall) throws { try Reranking.respond(call) }
}

/// Documents scored by an encoder that sees each text by itself.
private enum Reranking {
  static let fields: [RequestField] = [
    RequestField("model", .string, "which encoder; the server's first model where left out"),
    RequestField("query", .string, isRequired: true, "what is looked for"),
    RequestField(
      "documents",
      .array(
        .oneOf([.string, .object([RequestField("text", .string, isRequired: true, "the text")])]), 1...2047),
      isRequired: true, "the texts to choose from"),
    RequestField("top_n", .integer(0...1 << 20), "how many to give; default, and 0: all"),
    RequestField("return_documents", .boolean, "whether results have their texts; default true"),
    RequestField(
      "truncate_prompt_tokens", .integer(-1...1 << 20), "take so many tokens of a longer text; -1: what fits (vLLM)"),
    .withoutEffect("user", .string, "requests are told apart by their key"),
  ]

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      guard case .encoder = use.model else {
        throw APIError.invalid(
          "model", "names '\(use.name)', which makes text: documents are ranked by an encoder's vectors")
      }
      let body = call.body
      let documents = (body.array("documents") ?? []).map { $0.string ?? $0["text"]?.string ?? "" }
      let tokens = try ([body.string("query") ?? ""] + documents).map { try use.model.tokens(of: $0) }
      let texts = try EmbeddingTexts(tokens, limit: body.integer("truncate_prompt_tokens"), use.model) {
        $0 == 0 ? "query" : "documents[\($0 - 1)]"
      }
      let asked = body.integer("top_n") ?? 0
      let count = asked == 0 ? documents.count : min(asked, documents.count)
      let showsTexts = body.flag("return_documents") ?? true
      let head = AnswerHead(call, model: use.name)
      try EmbeddingJob.run(texts, use, call) { vectors in
        let scores = vectors.dropFirst().map { cosine($0, vectors[0]) }
        let order = scores.indices.sorted { scores[$0] == scores[$1] ? $0 < $1 : scores[$0] > scores[$1] }
        return [
          "id": .string("rerank-" + head.id), "model": .string(head.model),
          "usage": ["prompt_tokens": .integer(texts.tokenCount), "total_tokens": .integer(texts.tokenCount)],
          "results": .array(
            order.prefix(count).map { index in
              var result = JSONObject([("index", .integer(index)), ("relevance_score", .number(scores[index]))])
              if showsTexts { result["document"] = ["text": .string(documents[index])] }
              return .object(result)
            }),
        ]
      }
    }
  }

  /// The cosine of the angle between two vectors, summed in float64; 0 where one has no length.
  private static func cosine(_ a: [Float], _ b: [Float]) -> Double {
    var (product, first, second) = (0.0, 0.0, 0.0)
    for (x, y) in zip(a, b) {
      product += Double(x) * Double(y)
      first += Double(x) * Double(x)
      second += Double(y) * Double(y)
    }
    let length = (first * second).squareRoot()
    return length > 0 ? product / length : 0
  }
}
