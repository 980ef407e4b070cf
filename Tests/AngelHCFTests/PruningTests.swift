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

/// Two of every four weights made zero, written, and held without the zeros.
@Suite struct PruningTests {
  /// Windows of made-up tokens, those of `Scripts/goldens/wanda.py`.
  private static let windows: [[Int32]] = (0..<6).map { window in
    (0..<48).map { place in
      let mixed = window * 97 + place * place * 7 + place
      return Int32(3 + mixed % 250)
    }
  }

  /// - Parameter momentBytes: those of one block, as the reference goes block by block.
  private func pruned(
    _ pruning: PruningMethod, _ method: RoundingMethod, _ format: DType, from path: String = TinyModel.goldens,
    scaling: ChannelScaling? = nil, momentBytes: Int = 86_016, to target: String? = nil
  ) throws -> Quantizer.Result {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let checkpoint = try Checkpoint.open(path)
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    var quantizer = Quantizer()
    (quantizer.pruning, quantizer.method, quantizer.format) = (pruning, method, format)
    (quantizer.scaling, quantizer.momentBytes) = (scaling, momentBytes)
    let needsText = pruning == .wanda || method != .nearest
    let result = try quantizer.quantize(
      model, windows: needsText ? Self.windows : [], on: backend, pool: backend.pool)
    if let target {
      var request = ModelConverter.Request(target: target, layout: .gguf, matrixType: .q8_0)
      request.encoded = result.encoded
      _ = try ModelConverter(on: backend).convert(checkpoint, request)
    }
    return result
  }

  private static func floats(_ parameter: EncodedParameter) -> [Float] {
    stride(from: 0, to: parameter.bytes.count, by: 2).map { place in
      Float(bitPattern: (UInt32(parameter.bytes[place]) | UInt32(parameter.bytes[place + 1]) << 8) << 16)
    }
  }

  @Test("The weights that stay are those of the reference, block by block", arguments: PruningMethod.allCases)
  func masks(pruning: PruningMethod) throws {
    let description = try JSONValue(parsing: Goldens.bytes("pruned/masks.json"))
    let bits = try Goldens.bytes("pruned/\(pruning.rawValue).bin")
    let result = try pruned(pruning, .nearest, .bfloat16)
    let names =
      ["query", "key", "value", "output"].map { "attention." + $0 }
      + ["gate", "up", "down"].map { "feedForward." + $0 }
    var (place, kept) = (0, 0)
    for block in 0..<2 {
      for name in names {
        let parameter = try #require(result.encoded["blocks.\(block).\(name).weight"])
        for value in Self.floats(parameter) {
          let stays = bits[place / 8] >> (place % 8) & 1 == 1
          if (value != 0) != stays { Issue.record("\(block) \(name), weight \(place)") }
          place += 1
          kept += value != 0 ? 1 : 0
        }
        #expect(parameter.isTwoOfFour)
      }
    }
    #expect(place == description[pruning.rawValue]?["weights"]?.integer && kept == place / 2)
  }

  @Test("A pruned file gives the reference's logits", arguments: PruningMethod.allCases)
  func logits(pruning: PruningMethod) throws {
    let folder = try TemporaryFolder()
    let description = try JSONValue(parsing: Goldens.bytes("pruned/masks.json"))
    let expected = description[pruning.rawValue]?["logits"]?.array?.compactMap(\.double) ?? []
    #expect(expected.count == 64)
    let target = folder.path + "/pruned.gguf"
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let checkpoint = try Checkpoint.open(TinyModel.goldens)
    var request = ModelConverter.Request(target: target, layout: .gguf, matrixType: .float32)
    request.encoded = try pruned(pruning, .nearest, .bfloat16).encoded
    _ = try ModelConverter(on: backend).convert(checkpoint, request)
    let session = try makeSession(target)
    let last = try #require(try session.engine.rows(Self.windows[0]).last)
    for (found, wanted) in zip(last, expected) { #expect(abs(Double(found) - wanted) < 2e-5) }
  }

  /// The same file, of which nothing is said any more.
  private func unmarked(_ path: String, in folder: TemporaryFolder) throws -> String {
    let file = try MappedFile(path: path)
    var bytes = try file.withBytes(0..<file.byteCount) { Array($0) }
    let key = Array("angel.sparsity.pattern".utf8)
    let start = try #require(bytes.indices.first { bytes[$0...].starts(with: key) })
    // The key, a type of four bytes, a length of eight, "2:4".
    let value = start + key.count + 12
    #expect(Array(bytes[value..<value + 3]) == Array("2:4".utf8))
    bytes[value] = UInt8(ascii: "0")
    try folder.write(bytes, to: "unmarked.gguf")
    return folder.path + "/unmarked.gguf"
  }

  @Test(
    "A pruned file is held without zeros, and answers as it does with them", arguments: [DType.q8_0, .q4_0, .bfloat16])
  func held(format: DType) throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/pruned.gguf"
    _ = try pruned(.wanda, format.isQuantized ? .gptq : .nearest, format, to: target)
    #expect(try Checkpoint.open(target).heldTwoOfFour.count == 14)
    let unmarked = try unmarked(target, in: folder)
    let form = try #require(format.twoOfFour)
    #expect(try Checkpoint.open(unmarked).heldTwoOfFour.isEmpty)
    for arithmetic in Arithmetic.allCases {
      let sessions = try [target, unmarked].map { try makeSession($0, arithmetic: arithmetic) }
      let prompt: [Int32] = [5, 77, 130, 9, 201, 44, 18]
      let answers = try sessions.map { try $0.answer(prompt, .greedy(24)).tokens }
      #expect(answers[0] == answers[1])
      let rows = try sessions.map { try $0.engine.rows(Self.windows[1]) }
      #expect(rows[0] == rows[1], "\(arithmetic)")
      let types = sessions.map { Set($0.engine.model.parameterShapes().compactMap { $0.parameter.heldType }) }
      guard arithmetic != .bf16 else { continue }
      #expect(types[0].contains(form) && !types[1].contains { $0.isTwoOfFour })
    }
  }

  @Test("The plan of a pruned file is what it takes")
  func plan() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/pruned.gguf"
    _ = try pruned(.magnitude, .nearest, .q8_0, to: target)
    let plans = try [target, try unmarked(target, in: folder)].map {
      try ModelPlan(Checkpoint.open($0), arithmetic: .fast).bytes[.weights] ?? 0
    }
    let session = try makeSession(target, arithmetic: .fast)
    let held = session.engine.model.parameterShapes().reduce(0) { sum, entry in
      guard case .matrix(let matrix, _) = entry.parameter.value else {
        return sum + entry.parameter.shape.elementCount * 4
      }
      return sum + matrix.byteCount
    }
    #expect(plans[0] == held && plans[1] - plans[0] == 61_440 / 32 * 12)
  }

  @Test("A file that calls a matrix 2:4 which is not is held with all its weights")
  func lies() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/pruned.gguf"
    _ = try pruned(.magnitude, .nearest, .q8_0, to: target)
    let record = try Checkpoint.open(target).tensor("blk.1.ffn_up.weight")
    let file = try MappedFile(path: target)
    var bytes = try file.withBytes(0..<file.byteCount) { Array($0) }
    for place in 2..<6 { bytes[record.byteRange.lowerBound + place] = 1 }
    try folder.write(bytes, to: "broken.gguf")
    let session = try makeSession(folder.path + "/broken.gguf", arithmetic: .fast)
    let types = Dictionary(
      uniqueKeysWithValues: session.engine.model.parameterShapes().map { ($0.path, $0.parameter.heldType) })
    #expect(types["blocks.1.feedForward.up.weight"] == .q8_0)
    #expect(types["blocks.1.feedForward.gate.weight"] == .q8_0_2of4)
  }

  @Test("Passing on loses less than Wanda, and Wanda less than magnitudes")
  func losses() throws {
    let magnitude = try pruned(.magnitude, .nearest, .q8_0)
    let wanda = try pruned(.wanda, .weighted, .q8_0)
    let spread = try pruned(.wanda, .gptq, .q8_0)
    #expect(magnitude.layers.allSatisfy { !$0.isCalibrated && $0.error == $0.nearestError })
    let sums = [wanda, spread].map { $0.layers.reduce(0) { $0 + $1.error } }
    #expect(sums[0] < wanda.layers.reduce(0) { $0 + $1.nearestError })
    #expect(sums[1] < 0.9 * sums[0])
    let scaled = try pruned(.wanda, .weighted, .q8_0, scaling: .awareOfInputs)
    #expect(scaled.encoded.filter { $0.value.shape.rank == 2 }.allSatisfy { $0.value.isTwoOfFour })
  }

  @Test("What was pruned stays so through conversion, and not through rounding anew without")
  func converted() throws {
    let folder = try TemporaryFolder()
    let (target, again) = (folder.path + "/pruned.gguf", folder.path + "/again.gguf")
    _ = try pruned(.wanda, .nearest, .bfloat16, to: target)
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    for (type, count) in [(DType.q8_0, 14), (.q4_0, 14), (.q5_0, 0)] {
      var request = ModelConverter.Request(target: again, layout: .gguf, matrixType: type)
      request.replaces = true
      _ = try ModelConverter(on: backend).convert(Checkpoint.open(target), request)
      #expect(try Checkpoint.open(again).heldTwoOfFour.count == count, "\(type)")
      let session = try makeSession(again, arithmetic: .fast)
      let held = session.engine.model.parameterShapes().filter { $0.parameter.heldType?.isTwoOfFour ?? false }
      #expect(held.count == count)
    }
    var request = ModelConverter.Request(target: again, layout: .gguf, matrixType: .q8_0)
    request.replaces = true
    let plain = try pruned(.wanda, .nearest, .q8_0).encoded.mapValues {
      EncodedParameter(dtype: $0.dtype, shape: $0.shape, bytes: $0.bytes)
    }
    request.encoded = plain
    _ = try ModelConverter(on: backend).convert(Checkpoint.open(target), request)
    #expect(try Checkpoint.open(again).twoOfFourTensors.isEmpty)
  }

  @Test("Experts, types that hold no zeros apart, and gptq to bf16 are refused")
  func refusals() throws {
    #expect(throws: QuantizerError.cannotHoldPruned(.q5_0)) { try pruned(.magnitude, .nearest, .q5_0) }
    #expect(throws: QuantizerError.nothingToPassOn(.bfloat16)) { try pruned(.wanda, .gptq, .bfloat16) }
    let error = #expect(throws: QuantizerError.self) {
      try pruned(.magnitude, .nearest, .q8_0, from: Goldens.path("models/mixtral-tiny"))
    }
    #expect(error.map { "\($0)".contains("experts, whose inputs nothing watches") } == true)
  }
}

extension Parameter {
  /// What a matrix is held in.
  fileprivate var heldType: DType? {
    guard case .matrix(let matrix, _) = value else { return nil }
    return matrix.dtype
  }
}
