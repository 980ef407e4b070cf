import AngelCore
import AngelHCF

/// The fields that say how answers are drawn, shared by chat and plain completions; names as in OpenAI's interface and vLLM's
/// additions to it.
enum SamplingFields {
  static let all: [RequestField] =
    [
      RequestField("temperature", .number(0...100), "0 takes the likeliest token; default 1"),
      RequestField("top_p", .number(0...1), "keep the likeliest tokens of this total share; default 1"),
      RequestField("top_k", .integer(-1...1 << 24), "keep the k likeliest tokens; 0 or -1 keeps all (vLLM)"),
      RequestField("min_p", .number(0...1), "keep tokens with this share of the likeliest one's (vLLM)"),
      RequestField(
        "repetition_penalty", .number(0.01...100), "divides the logits of tokens seen so far; 1 is off (vLLM)"),
      RequestField("presence_penalty", .number(-2...2), "subtracted from tokens that the answer has used"),
      RequestField("frequency_penalty", .number(-2...2), "subtracted for each use of a token in the answer"),
      RequestField(
        "seed", .integer(-1 << 53...1 << 53), "the same seed gives the same answer, whatever else is served"),
      RequestField("stop", .oneOf([.string, .array(.string, 0...64)]), "end the answer before any of these texts"),
      RequestField("logit_bias", .map(.number(-100...100), limit: 1024), "added to the logits of token ids"),
      RequestField("n", .integer(1...128), "answers to give; default 1"),
      RequestField("max_tokens", .integer(0...1 << 24), "the longest answer in tokens"),
      RequestField("ignore_eos", .boolean, "go on after the model's end token (vLLM)"),
      RequestField("priority", .integer(-1 << 31...1 << 31), "smaller numbers are served first; default 0 (vLLM)"),
      RequestField("stream", .boolean, "send the answer as server-sent events while it is made"),
      RequestField(
        "stream_options",
        .object([
          RequestField("include_usage", .boolean, "send the token counts last"),
          .withoutEffect("include_obfuscation", .boolean, "streams are never padded"),
        ]), "what else a stream has"),
      .withoutEffect("user", .string, "requests are told apart by their key"),
      .refused("min_tokens", "use logit_bias against the end token", unless: [0]),
      .refused("stop_token_ids", "use stop", unless: [[]]),
      .refused("use_beam_search", "answers are sampled", unless: [false]),
      .refused("length_penalty", "there is no beam search", unless: [1, 1.0]),
      .refused("include_stop_str_in_output", "a stop text is left out", unless: [false]),
      .refused("skip_special_tokens", "special tokens have no text in answers", unless: [true]),
      .withoutEffect("spaces_between_special_tokens", .boolean, "special tokens have no text in answers"),
    ] + FormatFields.all

  /// The parameters a body asks for. Throws `APIError` naming the field.
  static func parameters(_ body: RequestBody, vocabularySize: Int) throws(APIError) -> SamplingParameters {
    var parameters = SamplingParameters()
    parameters.temperature = body.number("temperature") ?? 1
    parameters.topP = body.number("top_p") ?? 1
    parameters.topK = max(0, body.integer("top_k") ?? 0)
    parameters.minP = body.number("min_p") ?? 0
    parameters.repetitionPenalty = body.number("repetition_penalty") ?? 1
    parameters.presencePenalty = body.number("presence_penalty") ?? 0
    parameters.frequencyPenalty = body.number("frequency_penalty") ?? 0
    parameters.seed = body.integer("seed")
    parameters.stop = body.strings("stop")
    parameters.ignoresEndToken = body.flag("ignore_eos") ?? false
    for member in body.object("logit_bias")?.members ?? [] {
      guard let token = Int(member.key), token >= 0, token < vocabularySize else {
        throw .invalid(
          "logit_bias", "names '\(member.key.prefix(40))': its keys must be token ids from 0 to \(vocabularySize - 1)")
      }
      parameters.logitBias[token] = Float(member.value.double ?? 0)
    }
    return try checked(parameters)
  }

  /// Parameters that a sampler takes.
  ///
  /// - Parameter rename: a field's name as another dialect has it.
  static func checked(
    _ parameters: SamplingParameters, rename: (String) -> String = { $0 }
  ) throws(APIError) -> SamplingParameters {
    do throws(SamplingError) {
      try parameters.validate()
      return parameters
    } catch {
      throw apiError(error, rename: rename)
    }
  }

  /// A sampler's refusal with the field's name as the interface has it.
  static func apiError(_ error: SamplingError, rename: (String) -> String = { $0 }) -> APIError {
    switch error {
    case .invalid(let field, let value, let range):
      .invalid(rename(spelling(of: field)), "is \(value): it must be \(range)")
    case .unknownToken(let field, _, _): .invalid(rename(spelling(of: field)), error.description)
    case .wrongCount, .notANumber, .noTokenPossible, .overflow: .server(error.description)
    }
  }

  /// `topP` as the interface writes it: `top_p`.
  private static func spelling(of field: String) -> String {
    field.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
  }
}
