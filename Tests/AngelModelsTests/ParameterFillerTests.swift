import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelNN
import AngelTensor
import Testing

@testable import AngelModels

@Suite("Random weights")
struct ParameterFillerTests {
  static let dtypes: [DType] = [
    .float32, .float16, .bfloat16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q5_K, .q6_K, .q2_K, .q3_K, .iq4_NL,
    .iq4_XS, .tq1_0, .tq2_0, .bfloat16_2of4, .q4_0_2of4, .q8_0_2of4,
  ]

  private func tinyConfiguration() -> LlamaConfiguration {
    var result = LlamaConfiguration()
    result.vocabularySize = 300
    result.hiddenSize = 256
    result.layerCount = 1
    result.headCount = 4
    result.keyValueHeadCount = 2
    result.headSize = 64
    result.innerSize = 256
    result.tiesEmbeddings = true
    return result
  }

  private func filled(_ dtype: DType, on backend: CPUBackend, _ arithmetic: Arithmetic = .fast) throws -> LlamaModel {
    var model = LlamaModel(tinyConfiguration())
    try ParameterFiller(dtype: dtype, on: backend, arithmetic: arithmetic).fill(&model)
    return model
  }

  @Test("have a mean near zero and deviation 1 / √inputs in every format", arguments: dtypes)
  func moments(of dtype: DType) throws {
    let backend = try CPUBackend(threadCount: 2)
    let matrix = try filled(dtype, on: backend).embedding.weight.matrix.0
    #expect(matrix.dtype == dtype)
    let values: [Float] = try matrix.rows(Tensor((0..<300).map { Int32($0) }, on: backend)).read()
    let mean = values.reduce(0, +) / Float(values.count)
    let deviation = (values.reduce(0) { $0 + $1 * $1 } / Float(values.count)).squareRoot()
    // The quants of q4_0 run from -8 to 7: their mean is a tenth of their deviation.
    #expect(abs(mean) < 0.15 / 16)
    #expect((0.9...1.1).contains(deviation * 16))
  }

  @Test(
    "give finite logits, the same each time", arguments: [DType.bfloat16, .q4_0, .q6_K, .q2_K], Arithmetic.allCases)
  func logits(of dtype: DType, _ arithmetic: Arithmetic) throws {
    let backend = try CPUBackend(threadCount: 1)
    let results = try (0..<2).map { _ in
      let engine = try InferenceEngine(try filled(dtype, on: backend, arithmetic), on: backend, pool: backend.pool)
      return try engine.logits(after: [1, 2, 299], in: engine.makeSequence())
    }
    #expect(results[0] == results[1])
    #expect(results[0].count == 300 && results[0].allSatisfy { $0.isFinite && abs($0) < 100 })
    #expect(Set(results[0]).count > 10)
  }

  @Test("a dtype that does not fit is refused by the name of the tensor, before anything is filled")
  func refusal() throws {
    let backend = try CPUBackend(threadCount: 1)
    var configuration = tinyConfiguration()
    configuration.innerSize = 96
    var model = LlamaModel(configuration)
    #expect {
      try ParameterFiller(dtype: .q4_K, on: backend, arithmetic: .fast).fill(&model)
    } throws: { error in
      "\(error)".contains("blocks.0.feedForward.down.weight") && "\(error)".contains("q4_k [256, 96]")
    }
    #expect(model.parameterShapes().allSatisfy { $0.parameter.version == 0 })
  }

  @Test("the presets have the published numbers of parameters")
  func presets() {
    #expect(LlamaModel(.smolLM2_135M).parameterCount == 134_515_008)
    #expect(LlamaModel(.llama1B).parameterCount == 1_235_814_400)
  }
}
