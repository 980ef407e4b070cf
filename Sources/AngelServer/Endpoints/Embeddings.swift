import AngelCore
import AngelHCF
import AngelText

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
      let body = call.body
      let prompts = try PromptField.prompts(body, "input", use.model)
      let texts = try EmbeddingTexts(
        prompts.map(\.tokens), limit: body.integer("truncate_prompt_tokens"), use.model,
        dimensions: body.integer("dimensions")
      ) { "input[\($0)]" }
      let isBase64 = body.string("encoding_format") == "base64"
      try EmbeddingJob.run(texts, use, call) { vectors in
        [
          "object": "list",
          "data": .array(
            vectors.enumerated().map { index, vector in
              ["object": "embedding", "index": .integer(index), "embedding": isBase64 ? packed(vector) : vector.json]
            }), "model": .string(use.name),
          "usage": ["prompt_tokens": .integer(texts.tokenCount), "total_tokens": .integer(texts.tokenCount)],
        ]
      }
    }
  }

  /// The bytes of float32 values, low byte first, in base64.
  private static func packed(_ values: [Float]) -> JSONValue {
    .string(
      Base64.encode(values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }))
  }
}
