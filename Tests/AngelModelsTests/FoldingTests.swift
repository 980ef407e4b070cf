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

/// Scaling inputs channel by channel changes nothing but what rounding does.
@Suite("Folded scales")
struct FoldingTests {
  /// The tiny checkpoints of families that say where inputs can be scaled.
  static let folders = ModelParityTests.folders.filter { !$0.hasPrefix("olmo2") }

  private func loaded(_ path: String, on backend: CPUBackend) throws -> any LanguageModel {
    let checkpoint = try Checkpoint.open(path)
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    return model
  }

  private func windows(_ model: any LanguageModel) -> [[Int32]] {
    let size = min(model.configuration.vocabularySize, 250)
    return (0..<3).map { window in
      (0..<24).map { place in
        let mixed = window * 97 + place * place * 7 + place
        return Int32(mixed % size)
      }
    }
  }

  private func logits(_ model: any LanguageModel, _ window: [Int32], on backend: CPUBackend) throws -> [Float] {
    var options = EngineOptions()
    (options.contextLength, options.cacheDType) = (window.count, .float32)
    let engine = try InferenceEngine(model, on: backend, pool: backend.pool, options: options)
    return try engine.logits(after: window, in: engine.makeSequence())
  }

  private func expect(_ found: [Float], near wanted: [Float], in name: String) {
    let most = wanted.reduce(0) { max($0, abs($1)) }
    let worst = zip(found, wanted).reduce(0) { max($0, abs($1.0 - $1.1)) }
    #expect(found.count == wanted.count && worst < 2e-5 * most, "\(name): \(worst) of \(most)")
  }

  @Test("A model whose inputs are scaled, and its file, is the model that it was", arguments: folders)
  func folded(_ name: String) throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let path = Goldens.path("models/\(name)")
    let model = try loaded(path, on: backend)
    let windows = windows(model)
    let before = try logits(model, windows[0], on: backend)
    var quantizer = Quantizer()
    (quantizer.scaling, quantizer.exponent, quantizer.format) = (.awareOfInputs, 0.7, .float32)
    let result = try quantizer.quantize(model, windows: windows, on: backend, pool: backend.pool)
    let layerCount = model.configuration.cacheGeometry.layerCount
    // Queries, keys, values and the layer after attention at least.
    #expect(result.layers.count { $0.exponent == 0.7 } >= 4 * layerCount)
    expect(try logits(model, windows[0], on: backend), near: before, in: name)

    let folder = try TemporaryFolder()
    var request = ModelConverter.Request(target: folder.path + "/folded.gguf", layout: .gguf, matrixType: .float32)
    request.encoded = result.encoded
    let checkpoint = try Checkpoint.open(path)
    // Some of the checkpoints are of forms that GGUF has no word for.
    guard (try? ModelConverter(on: backend).convert(checkpoint, request)) != nil else { return }
    let written = try loaded(request.target, on: backend)
    expect(try logits(written, windows[0], on: backend), near: before, in: name + ", written")
    var vectors = 0
    for (path, parameter) in written.parameterShapes() {
      guard parameter.role == .vector, let encoded = result.encoded[path] else { continue }
      let values: [Float] = try parameter.vector.read()
      #expect(values == encoded.bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }, "\(path)")
      vectors += 1
    }
    #expect(vectors >= layerCount)
  }

  @Test("Values shared by several heads share their scales")
  func sharedHeads() {
    let fold = FoldingPlan.Fold(["output"], from: .values("value"))
    let scales = FoldedScales([fold], headSize: 2)
    #expect(scales.channels(of: fold, inputCount: 8, makerCount: 4) == [0, 1, 0, 1, 2, 3, 2, 3])
    #expect(scales.channels(of: fold, inputCount: 8, makerCount: 8) == nil)
  }

  @Test("Families without norms before their layers are refused by name")
  func refused() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let model = try loaded(Goldens.path("models/olmo2-tiny"), on: backend)
    var quantizer = Quantizer()
    quantizer.scaling = .awareOfInputs
    #expect(throws: QuantizerError.cannotScale(family: "Olmo2Model")) {
      try quantizer.quantize(model, windows: windows(model), on: backend, pool: backend.pool)
    }
  }

  @Test(
    "Scales lessen the outputs' error, by weights and by products in int8, and a layer as it is stays where they do not"
  )
  func errors() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    func quantized(_ scaling: ChannelScaling?, _ method: RoundingMethod, _ format: DType) throws -> [Quantizer.Layer] {
      let model = try loaded(Goldens.path("models/llama-tiny"), on: backend)
      var quantizer = Quantizer()
      (quantizer.scaling, quantizer.method, quantizer.format) = (scaling, method, format)
      return try quantizer.quantize(model, windows: windows(model), on: backend, pool: backend.pool).layers
    }
    func mean(_ layers: [Quantizer.Layer]) -> Double { layers.reduce(0) { $0 + $1.error } / Double(layers.count) }
    let nearest = try quantized(.awareOfInputs, .nearest, .q4_0)
    #expect(mean(nearest) < 0.98 * nearest.reduce(0) { $0 + $1.nearestError } / Double(nearest.count))
    #expect(mean(try quantized(.awareOfInputs, .weighted, .q4_0)) < 0.98 * mean(try quantized(nil, .weighted, .q4_0)))
    let products = try quantized(.smooth, .nearest, .q8_0).compactMap(\.productErrors)
    #expect(products.count == 14)
    #expect(products.reduce(0) { $0 + $1.scaled } <= products.reduce(0) { $0 + $1.plain })
  }
}
