import AngelHCF
import FoundationEssentials
import Testing

@Suite("Sampling errors")
struct SamplingErrorTests {
  private func error(_ logits: [Float], _ parameters: SamplingParameters = .greedy) -> SamplingError? {
    do throws(SamplingError) {
      var sampler = try Sampler(parameters: parameters, promptTokens: [0], vocabularySize: 40)
      _ = try logits.withUnsafeBufferPointer { buffer throws(SamplingError) in try sampler.sample(buffer, step: 9) }
      return nil
    } catch { return error }
  }

  @Test("damaged logits are named by token and step", arguments: [0, 15, 16, 31, 32, 39])
  func damaged(position: Int) {
    for (value, name) in [(Float.nan, "nan"), (.infinity, "inf")] {
      var logits = [Float](repeating: 0, count: 40)
      logits[position] = value
      #expect(error(logits) == .notANumber(token: position, value: name, step: 9))
    }
  }

  @Test("impossible rows are refused")
  func impossible() {
    #expect(error([Float](repeating: -.infinity, count: 40)) == .noTokenPossible(step: 9))
    #expect(error([0, 1]) == .wrongCount(logits: 2, vocabularySize: 40))
    var parameters = SamplingParameters()
    parameters.repetitionPenalty = 0.01
    #expect(error([3e38] + [Float](repeating: 0, count: 39), parameters) == .overflow(step: 9))
  }

  @Test("a huge spread of logits at a tiny temperature still draws the likeliest")
  func spread() throws {
    var parameters = SamplingParameters()
    parameters.temperature = 1e-4
    var sampler = try Sampler(parameters: parameters, promptTokens: [], vocabularySize: 3)
    let token = try [-3e38, 3e38, 0].withUnsafeBufferPointer { try sampler.sample($0, step: 0).token }
    #expect(token == 1)
  }

  private static func changed(_ change: (inout SamplingParameters) -> Void) -> SamplingParameters {
    var result = SamplingParameters()
    change(&result)
    return result
  }

  static let refused: [(field: String, parameters: SamplingParameters)] = [
    ("temperature", changed { $0.temperature = -0.1 }), ("temperature", changed { $0.temperature = .nan }),
    ("topK", changed { $0.topK = -1 }), ("topP", changed { $0.topP = 0 }), ("topP", changed { $0.topP = 1.01 }),
    ("minP", changed { $0.minP = -1 }), ("repetitionPenalty", changed { $0.repetitionPenalty = 0 }),
    ("presencePenalty", changed { $0.presencePenalty = 2.1 }),
    ("frequencyPenalty", changed { $0.frequencyPenalty = -3 }), ("maxTokens", changed { $0.maxTokens = 0 }),
    ("logprobs", changed { $0.logprobs = 21 }), ("stop", changed { $0.stop = ["a", ""] }),
    ("stop", changed { $0.stop = Array(repeating: "a", count: 65) }),
    ("logitBias", changed { $0.logitBias = [-1: 0] }), ("logitBias[4]", changed { $0.logitBias = [4: 101] }),
  ]

  @Test("each field out of range is named", arguments: refused)
  func validation(field: String, parameters: SamplingParameters) throws {
    try SamplingParameters().validate()
    let thrown = #expect(throws: SamplingError.self) { try parameters.validate() }
    guard case .invalid(let named, _, _) = thrown else {
      Issue.record("\(String(describing: thrown))")
      return
    }
    #expect(named == field)
  }

  @Test("tokens the vocabulary lacks are refused")
  func unknownTokens() {
    var parameters = SamplingParameters.greedy
    parameters.logitBias = [40: 1]
    let expected = SamplingError.unknownToken(field: "logitBias", token: 40, vocabularySize: 40)
    #expect(throws: expected) { try Sampler(parameters: parameters, promptTokens: [], vocabularySize: 40) }
    parameters.logitBias = [:]
    parameters.repetitionPenalty = 1.1
    #expect(throws: SamplingError.self) { try Sampler(parameters: parameters, promptTokens: [-1], vocabularySize: 40) }
  }

  @Test("parameters survive JSON, biases keyed by token")
  func coding() throws {
    var parameters = SamplingParameters.greedy
    parameters.logitBias = [7: -1.5]
    parameters.stop = ["\n"]
    parameters.seed = -3
    let data = try JSONEncoder().encode(parameters)
    #expect(try JSONDecoder().decode(SamplingParameters.self, from: data) == parameters)
    #expect(String(decoding: data, as: UTF8.self).contains(#""logitBias":{"7":-1.5}"#))
  }

  @Test("a message names the field, the value and the range")
  func message() {
    let error = SamplingError.invalid(field: "topP", value: "1.5", range: "above 0, at most 1")
    #expect(error.description == "topP is 1.5: it must be above 0, at most 1")
  }
}
