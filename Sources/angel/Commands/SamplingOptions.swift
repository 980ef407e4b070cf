import AngelCore
import AngelHCF

/// The sampling options of commands that answer, named as in the HTTP API.
enum SamplingOptions {
  static let maxTokens = Option<Int?>.integer(
    "max-tokens", in: 1...1 << 24, help: "stop after N new tokens (default: when the model ends or the context is full)"
  )
  static let temperature = Option<Double>.number(
    "temperature", default: 0, in: 0...100, help: "0: the likeliest token each time; higher: more varied")
  static let topK = Option<Int>.integer("top-k", default: 0, in: 0...1 << 24, help: "keep the K likeliest; 0: all")
  static let topP = Option<Double>.number(
    "top-p", default: 1, in: 0...1, help: "keep the likeliest of this total share")
  static let minP = Option<Double>.number("min-p", default: 0, in: 0...1, help: "keep what has this share of the best")
  static let repetitionPenalty = Option<Double>.number(
    "repetition-penalty", default: 1, in: 0.01...100, help: "divide the logits of tokens seen so far; 1: off")
  static let presencePenalty = Option<Double>.number(
    "presence-penalty", default: 0, in: -2...2, help: "subtract from tokens the answer has used")
  static let frequencyPenalty = Option<Double>.number(
    "frequency-penalty", default: 0, in: -2...2, help: "subtract for each use of a token in the answer")
  static let seed = Option<Int?>.integer("seed", in: 0...1 << 53, help: "repeat an answer exactly")
  static let stop = Option<[String]>.texts("stop", placeholder: "TEXT", help: "end the answer before TEXT")
  static let logitBias = Option<[String]>.texts(
    "logit-bias", placeholder: "ID:BIAS", help: "add BIAS to a token's logit")
  static let logprobs = Option<Int?>.integer(
    "logprobs", in: 0...20, help: "with --json: log-probabilities, and the N likeliest alternatives")
  static let ignoreEnd = Option<Bool>.flag("ignore-end", help: "go on past the model's end token")

  static let all = [
    maxTokens.declaration, temperature.declaration, topK.declaration, topP.declaration, minP.declaration,
    repetitionPenalty.declaration, presencePenalty.declaration, frequencyPenalty.declaration, seed.declaration,
    stop.declaration, logitBias.declaration, logprobs.declaration, ignoreEnd.declaration,
  ]

  /// The parameters the arguments ask for; throws naming the value that is out of range.
  static func parameters(
    _ arguments: Arguments, of command: String, _ context: CommandContext
  ) throws -> SamplingParameters {
    if arguments.has(logprobs), !context.printsJSON { throw UsageError("--logprobs needs --json", command: command) }
    var parameters = SamplingParameters()
    parameters.maxTokens = arguments[maxTokens]
    parameters.temperature = Float(arguments[temperature])
    parameters.topK = arguments[topK]
    parameters.topP = Float(arguments[topP])
    parameters.minP = Float(arguments[minP])
    parameters.repetitionPenalty = Float(arguments[repetitionPenalty])
    parameters.presencePenalty = Float(arguments[presencePenalty])
    parameters.frequencyPenalty = Float(arguments[frequencyPenalty])
    parameters.seed = arguments[seed]
    parameters.stop = arguments[stop]
    parameters.logprobs = arguments[logprobs]
    parameters.ignoresEndToken = arguments[ignoreEnd]
    for text in arguments[logitBias] {
      let parts = text.split(separator: ":")
      guard parts.count == 2, let token = Int(parts[0]), let bias = Float(parts[1]), token >= 0 else {
        throw UsageError("--logit-bias is '\(text)', expected ID:BIAS such as 42:-100", command: command)
      }
      parameters.logitBias[token] = bias
    }
    do throws(SamplingError) {
      try parameters.validate()
    } catch {
      guard case .invalid(let field, let value, let range) = error else { throw error }
      throw UsageError("--\(spelling(of: field)) is \(value): it must be \(range)", command: command)
    }
    return parameters
  }

  /// `topP` as the option is written: `top-p`.
  private static func spelling(of field: String) -> String {
    field.reduce(into: "") { $0 += $1.isUppercase ? "-" + $1.lowercased() : String($1) }
  }
}
