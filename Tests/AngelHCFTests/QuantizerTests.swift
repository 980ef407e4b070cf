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

@Suite struct QuantizerTests {
  /// Windows of made-up tokens.
  private static let windows: [[Int32]] = (0..<6).map { window in
    (0..<48).map { place in
      let mixed = window * 97 + place * place * 7 + place
      return Int32(3 + mixed % 250)
    }
  }

  private func quantized(
    _ path: String, _ method: RoundingMethod, momentBytes: Int = 1 << 20, to target: String? = nil
  ) throws -> Quantizer.Result {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let checkpoint = try Checkpoint.open(path)
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    var quantizer = Quantizer()
    quantizer.method = method
    quantizer.format = .q4_0
    quantizer.momentBytes = momentBytes
    let result = try quantizer.quantize(
      model, windows: method == .nearest ? [] : Self.windows, on: backend, pool: backend.pool)
    if let target {
      var request = ModelConverter.Request(target: target, layout: .gguf, matrixType: .float32)
      request.encoded = result.encoded
      _ = try ModelConverter(on: backend).convert(checkpoint, request)
    }
    return result
  }

  @Test("Every linear layer but the head is rounded, and GPTQ loses less than scales, and these than the nearest")
  func losses() throws {
    let results = try [RoundingMethod.nearest, .weighted, .gptq].map { try quantized(TinyModel.goldens, $0) }
    for result in results {
      #expect(result.layers.count == 14)
      #expect(Set(result.encoded.keys) == Set(result.layers.map { $0.path + ".weight" }))
      #expect(result.encoded["blocks.1.feedForward.down.weight"]?.shape == [64, 96])
      #expect(result.encoded.values.allSatisfy { $0.dtype == .q4_0 })
    }
    #expect(results[0].layers.allSatisfy { !$0.isCalibrated && $0.error == $0.nearestError })
    let sums = results.map { $0.layers.reduce(0) { $0 + $1.error } }
    let nearest = results[2].layers.reduce(0) { $0 + $1.nearestError }
    #expect(results[2].layers.allSatisfy { $0.isCalibrated && $0.error < $0.nearestError })
    #expect(sums[1] < 0.95 * nearest)
    #expect(sums[2] < 0.85 * sums[1])
  }

  @Test("Layers with one input share its moments, and passes cut between them", arguments: [1, 40_000, 1 << 20])
  func passes(momentBytes: Int) throws {
    // A block has four inputs: of attention, its output, the feed-forward network, its output: widths 64, 64, 64, 96.
    let result = try quantized(TinyModel.goldens, .weighted, momentBytes: momentBytes)
    #expect(result.passes == [1: 8, 40_000: 6, 1 << 20: 1][momentBytes])
    #expect(result.layers.count == 14)
    #expect(
      result.layers.prefix(3).map(\.path) == ["query", "key", "value"].map { "blocks.0.attention." + $0 })
  }

  @Test("A file has the rounded matrices in its own order, from a folder and from a file")
  func written() throws {
    let folder = try TemporaryFolder()
    for source in [TinyModel.goldens, TinyModel.goldens + "/llama-tiny-F32.gguf"] {
      let target = folder.path + "/rounded.gguf"
      let result = try quantized(source, .gptq, to: target)
      let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
      let checkpoint = try Checkpoint.open(target)
      let entry = try ModelCatalog.languageModel(for: checkpoint)
      var model = try entry.outline(checkpoint)
      try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
      var checked = 0
      for (path, parameter) in model.parameterShapes() {
        guard let encoded = result.encoded[path] else { continue }
        let values: [Float] = try parameter.matrix.0.dequantized().read()
        let expected = encoded.bytes.withUnsafeBytes {
          PackedMatrix(rows: $0, dtype: .q4_0, columns: encoded.shape[0], depth: encoded.shape[1], on: backend)
        }
        #expect(parameter.matrix.0.dtype == .q4_0)
        let wanted: [Float] = try expected.dequantized().read()
        #expect(values == wanted, "\(path)")
        checked += 1
      }
      #expect(checked == 14)
      try FileOperations.remove(target)
    }
  }

  @Test("Experts go to the nearest, said so, and the layers around them are calibrated")
  func experts() throws {
    let result = try quantized(Goldens.path("models/mixtral-tiny"), .gptq)
    let experts = result.layers.filter { $0.path.contains("expert") }
    #expect(!experts.isEmpty && experts.allSatisfy { !$0.isCalibrated && $0.error == $0.nearestError })
    #expect(result.layers.filter { !$0.path.contains("expert") }.allSatisfy { $0.isCalibrated })
  }

  @Test("Calibration without a text is refused")
  func noText() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let checkpoint = try Checkpoint.open(TinyModel.goldens)
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    let model = try entry.outline(checkpoint)
    #expect(throws: QuantizerError.noText) {
      try Quantizer().quantize(model, windows: [], on: backend, pool: backend.pool)
    }
  }
}
