import Glibc
import Testing

@testable import AngelHCF

@Suite("Sampling filters")
struct SamplingFilterTests {
  private func kept(_ logits: [Float], _ change: (inout SamplingParameters) -> Void) throws -> [Int] {
    var parameters = SamplingParameters()
    change(&parameters)
    var sampler = try Sampler(parameters: parameters, promptTokens: [], vocabularySize: logits.count)
    let result = logits.withUnsafeBufferPointer { sampler.truncated($0, maximum: logits.max() ?? 0) }
    return result.weights.indices.map(result.token)
  }

  /// Probabilities 0.1, 0.4, 0.2, 0.2, 0.1.
  private let logits = [1, 4, 2, 2, 1].map { log(Float($0)) }

  @Test("top-k keeps the k largest and those equal to the k-th")
  func topK() throws {
    #expect(try kept(logits) { $0.topK = 1 } == [1])
    #expect(try kept(logits) { $0.topK = 2 } == [1, 2, 3])
    #expect(try kept(logits) { $0.topK = 3 } == [1, 2, 3])
    #expect(try kept(logits) { $0.topK = 4 } == [0, 1, 2, 3, 4])
    #expect(try kept(logits) { $0.topK = 0 } == [0, 1, 2, 3, 4])
    #expect(try kept(logits) { $0.topK = 100 } == [0, 1, 2, 3, 4])
  }

  @Test("top-p keeps the smallest set that reaches its sum, lower ids first among equals")
  func topP() throws {
    #expect(try kept(logits) { $0.topP = 0.0001 } == [1])
    #expect(try kept(logits) { $0.topP = 0.39 } == [1])
    #expect(try kept(logits) { $0.topP = 0.41 } == [1, 2])
    #expect(try kept(logits) { $0.topP = 0.61 } == [1, 2, 3])
    #expect(try kept(logits) { $0.topP = 0.81 } == [0, 1, 2, 3])
    #expect(try kept(logits) { $0.topP = 0.91 } == [0, 1, 2, 3, 4])
  }

  @Test("min-p keeps tokens at least as likely as its part of the likeliest")
  func minP() throws {
    #expect(try kept(logits) { $0.minP = 0.6 } == [1])
    #expect(try kept(logits) { $0.minP = 0.49 } == [1, 2, 3])
    #expect(try kept(logits) { $0.minP = 0.24 } == [0, 1, 2, 3, 4])
    #expect(try kept(logits) { $0.minP = 1 } == [1])
  }

  @Test("top-p sees the distribution that min-p and top-k left, renormalised")
  func order() throws {
    // Of 0.4 0.2 0.2, renormalised to 0.5 0.25 0.25, the first reaches 0.45; of all five it does not.
    #expect(try kept(logits) { ($0.topK, $0.topP) = (3, 0.45) } == [1])
    #expect(try kept(logits) { ($0.minP, $0.topP) = (0.4, 0.45) } == [1])
    #expect(try kept(logits) { $0.topP = 0.45 } == [1, 2])
  }

  @Test("temperature sharpens before min-p and top-p, and leaves top-k alone")
  func temperature() throws {
    #expect(try kept(logits) { ($0.temperature, $0.minP) = (0.5, 0.3) } == [1])
    #expect(try kept(logits) { ($0.temperature, $0.minP) = (2, 0.7) } == [1, 2, 3])
    #expect(try kept(logits) { ($0.temperature, $0.topK) = (2, 1) } == [1])
  }

  @Test("the exponential is within three units in the last place, 0 far below and 1 at 0")
  func exponential() {
    for start in stride(from: Float(0), to: -87, by: -0.37) {
      let x = SIMD16<Float>((0..<16).map { start - Float($0) * 0.021 })
      let y = LogitScan.exponential(x)
      for lane in 0..<16 where x[lane] > -87.3 {
        let exact = exp(Double(x[lane]))
        #expect(abs(Double(y[lane]) - exact) <= 3 * Double(Float(exact).ulp), "exp(\(x[lane]))")
      }
    }
    #expect(LogitScan.exponential(SIMD16(repeating: 0)) == SIMD16(repeating: 1))
    #expect(LogitScan.exponential(SIMD16(repeating: -88)) == SIMD16(repeating: 0))
    #expect(LogitScan.exponential(SIMD16(repeating: -.infinity)) == SIMD16(repeating: 0))
  }

  @Test("selection agrees with a full sort", arguments: 0..<20)
  func selection(seed: Int) {
    let values = makeLogits(300, seed: UInt64(seed)).map { seed % 2 == 0 ? $0 : ($0 * 2).rounded() / 2 }
    let sorted = values.sorted(by: >)
    values.withUnsafeBufferPointer { buffer in
      for k in [1, 2, 10, 150, 299, 300] { #expect(TopSelection.largest(k, of: buffer) == sorted[k - 1]) }
      let order = values.indices.sorted { (-values[$0], $0) < (-values[$1], $1) }
      #expect(TopSelection.top(7, of: buffer) == Array(order.prefix(7)))
    }
  }
}
