import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@testable import AngelHCF

/// Formats that are chosen layer by layer.
@Suite("Plans of precision")
struct PrecisionPlanTests {
  private typealias Choice = PrecisionAssignment.Choice

  private static let windows: [[Int32]] = (0..<4).map { window in
    (0..<32).map { place in
      let mixed = window * 97 + place * place * 7 + place
      return Int32(3 + mixed % 250)
    }
  }

  /// Three choices a part, of one hull.
  private static func parts(_ seed: Int) -> [[Choice]] {
    let random = PhiloxGenerator(seed: UInt64(seed))
    return (0..<5).map { part in
      let size = 10 + Int(20 * random.uniform(at: UInt64(part)))
      let loss = Double(random.uniform(at: UInt64(10 + part))) + 0.1
      return [
        Choice(.q8_0, bytes: 8 * size, loss: 0.02 * loss), Choice(.q4_0, bytes: 4 * size, loss: loss),
        Choice(.q5_0, bytes: 5 * size, loss: 0.3 * loss),
      ]
    }
  }

  @Test("At every size at which a step ends, no assignment of that size loses less")
  func best() {
    for seed in 0..<20 {
      let parts = Self.parts(seed)
      let budget = 10 + parts.reduce(0) { $0 + $1[2].bytes }
      let found = PrecisionAssignment(parts, within: .bytes(budget))
      #expect(found.byteCount <= budget)
      // Every assignment there is.
      var least = Double.infinity
      for code in 0..<243 {
        var (rest, bytes, loss) = (code, 0, 0.0)
        for part in parts {
          bytes += part[rest % 3].bytes
          loss += part[rest % 3].loss
          rest /= 3
        }
        if bytes <= found.byteCount { least = min(least, loss) }
      }
      // What is left over is less than a step, so that the greedy choice is near the best.
      #expect(found.loss < least * 1.3 + 1e-9)
    }
  }

  @Test("Choices above the hull are never taken, and a budget of loss is met by the smallest that meets it")
  func hull() {
    let part = [
      Choice(.q4_0, bytes: 4, loss: 1), Choice(.q4_1, bytes: 5, loss: 0.9), Choice(.q5_0, bytes: 6, loss: 0.2),
      Choice(.q5_1, bytes: 7, loss: 0.3), Choice(.q8_0, bytes: 9, loss: 0.1),
    ]
    #expect(PrecisionAssignment([part], within: .bytes(5)).choices == [part[0]])
    #expect(PrecisionAssignment([part], within: .bytes(8)).choices == [part[2]])
    #expect(PrecisionAssignment([part], within: .bytes(100)).choices == [part[4]])
    #expect(PrecisionAssignment([part], within: .loss(0.5)).choices == [part[2]])
    #expect(PrecisionAssignment([part], within: .loss(2)).choices == [part[0]])
    #expect(PrecisionAssignment([part], within: .loss(0)).choices == [part[4]])
  }

  private func model(_ name: String, on backend: CPUBackend) throws -> any LanguageModel {
    let checkpoint = try Checkpoint.open(Goldens.path("models/\(name)"))
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    return model
  }

  @Test("Gradients by outputs are those by biases, where there is one row")
  func gradients() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    func check(_ model: some LanguageModel) throws {
      var model = model
      let layer = "blocks.0.feedForward.up"
      let found = try LossGradients(of: model, layers: [layer], [[5, 9]], on: backend) { _, _ in }
      try model.visitParameters { path, parameter in if path == layer + ".bias" { parameter.makeTrained() } }
      let hidden = model(Tensor([Int32(5)], on: backend), ForwardContext(segments: Segments(lengths: [1], on: backend)))
      let targets = PredictionTargets(
        tokens: Tensor([Int32(9)], on: backend), weights: Tensor([Float(1)], on: backend))
      let gradients = try model.crossEntropy(of: hidden, targets).backward()
      let bias = try #require(model.parameterShapes().first { $0.path == layer + ".bias" }?.parameter)
      let wanted: [Float] = try #require(gradients[bias]).read()
      let squares = try #require(found.squares[layer])
      #expect(squares.count == wanted.count && squares.contains { $0 > 0 })
      #expect(zip(squares, wanted).allSatisfy { abs($0 - $1 * $1) <= 1e-5 * $1 * $1 + 1e-12 })
    }
    try check(model("gpt2-tiny", on: backend))
  }

  @Test("A plan keeps to its bits, what is one tensor in a file is of one type, and too few bits are refused")
  func plan() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    func planned(_ name: String, _ budget: PrecisionPlan.Budget) throws -> Quantizer.Result {
      var quantizer = Quantizer()
      quantizer.budget = budget
      return try quantizer.quantize(
        model(name, on: backend), windows: Self.windows, on: backend, pool: backend.pool)
    }
    let result = try planned("llama-tiny", .bits(5.2))
    let plan = try #require(result.plan)
    #expect(plan.bits > 5 && plan.bits <= 5.2)
    #expect(Set(result.layers.map(\.format)).count > 1)
    #expect(result.layers.allSatisfy { $0.format == plan.formats[$0.path] })
    #expect(result.encoded.allSatisfy { plan.formats[String($0.key.dropLast(7))] == $0.value.dtype })
    let larger = try #require(try planned("llama-tiny", .bits(6)).plan)
    #expect(larger.expectedLoss < plan.expectedLoss && plan.expectedLoss > 0)
    // Queries, keys and values are one tensor in a file of this family, and so are gate and up.
    let phi = try #require(try planned("phi3-tiny", .bits(5.2)).plan)
    for layer in ["attention.key", "attention.value"] {
      #expect(phi.formats["blocks.0." + layer] == phi.formats["blocks.0.attention.query"])
    }
    #expect(phi.formats["blocks.0.feedForward.gate"] == phi.formats["blocks.0.feedForward.up"])
    #expect(throws: QuantizerError.tooSmall(bits: 3, least: 4.5)) { try planned("llama-tiny", .bits(3)) }
    #expect {
      try planned("llama-tiny", .loss(1e-12))
    } throws: { error in
      guard case .losesMore(let expected, let most) = error as? QuantizerError else { return false }
      return expected > most && "\(error)".hasSuffix("which is more than 0.000 %: allow more")
    }
  }
}
