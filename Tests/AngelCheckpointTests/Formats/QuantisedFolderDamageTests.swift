import AngelCore
import Testing

@testable import AngelCheckpoint

/// Quantised folders of one matrix, whose values are known, and what is said of those that are not sound.
@Suite("Quantised folders, byte by byte")
struct QuantisedFolderDamageTests {
  /// A tensor to write.
  struct Tensor {
    var name: String
    var type: String
    var shape: [Int]
    var bytes: [UInt8]

    init(_ name: String, _ type: String, _ shape: [Int], _ bytes: [UInt8]) {
      self.name = name
      self.type = type
      self.shape = shape
      self.bytes = bytes
    }

    static func words(_ name: String, _ shape: [Int], _ words: [UInt32]) -> Tensor {
      Tensor(name, "I32", shape, words.flatMap { word in withUnsafeBytes(of: word.littleEndian, Array.init) })
    }

    static func halves(_ name: String, _ shape: [Int], _ values: [Float]) -> Tensor {
      Tensor(
        name, "F16", shape,
        values.flatMap { value in withUnsafeBytes(of: Float16(value).bitPattern.littleEndian, Array.init) })
    }
  }

  let folder: ScratchFolder

  init() throws { folder = try ScratchFolder() }

  private static let gptq = "\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"checkpoint_format\":\"gptq_v2\""
  private static let packed =
    "\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"config_groups\":{\"g\":{\"weights\":"
    + "{\"num_bits\":4,\"type\":\"int\"}}}"
  private static let naive = packed.split(separator: "pack-quantized").joined(separator: "int-quantized")

  /// A word of eight codes, the first in the lowest bits.
  private static func nibbles(_ code: (Int) -> Int) -> UInt32 {
    (0..<8).reduce(0) { word, index in word | UInt32(code(index)) << UInt32(4 * index) }
  }

  /// Codes of 32 inputs and 32 outputs: input k of output n has code (k + n) mod 16.
  private static let qweight = Tensor.words(
    "m.qweight", [4, 32],
    (0..<4).flatMap { word -> [UInt32] in
      (0..<32).map { n -> UInt32 in nibbles { (8 * word + $0 + n) % 16 } }
    })
  private static let scales = Tensor.halves("m.scales", [1, 32], (0..<32).map { Float($0 + 1) / 16 })
  private static let qzeros = Tensor.words("m.qzeros", [1, 4], [UInt32](repeating: 0x8888_8888, count: 4))
  private static let sound = [qweight, scales, qzeros]

  /// The bytes of a safetensors file.
  private static func file(_ tensors: [Tensor]) -> [UInt8] {
    var (offset, entries) = (0, [String]())
    for tensor in tensors {
      entries.append(
        "\"\(tensor.name)\":{\"dtype\":\"\(tensor.type)\",\"shape\":\(tensor.shape),"
          + "\"data_offsets\":[\(offset),\(offset + tensor.bytes.count)]}")
      offset += tensor.bytes.count
    }
    let header = Array("{\(entries.joined(separator: ","))}".utf8)
    return withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header + tensors.flatMap(\.bytes)
  }

  private func open(_ tensors: [Tensor], _ scheme: String = gptq) throws -> Checkpoint {
    try folder.write("model.safetensors", Self.file(tensors))
    try folder.write("config.json", "{\"model_type\":\"llama\",\"quantization_config\":{\(scheme)}}")
    return try Checkpoint.open(folder.path)
  }

  private func complaint(_ tensors: [Tensor], _ scheme: String = gptq) -> String {
    checkpointError { _ = try open(tensors, scheme) }?.description ?? "nothing"
  }

  /// The values of a tensor in float16 or float32, row after row.
  private func floats(_ checkpoint: Checkpoint, _ name: String = "m.weight") throws -> [Float] {
    let record = try checkpoint.tensor(name)
    return try record.withBytes { ReferenceDequantizer.values(Array($0), record.dtype) }
  }

  private func changed(_ name: String, _ change: (inout Tensor) -> Void) -> [Tensor] {
    Self.sound.map { tensor in
      var tensor = tensor
      if tensor.name == name { change(&tensor) }
      return tensor
    }
  }

  // MARK: Values

  /// `code` times the scale of output `n`.
  private func value(_ code: Int, _ n: Int) -> Float { Float(code) * (Float(n + 1) / 16) }

  @Test("a symmetric matrix is q4_0 with the file's codes and scales")
  func symmetric() throws {
    let checkpoint = try open(Self.sound)
    let record = try checkpoint.tensor("m.weight")
    #expect(record.dtype == .q4_0 && record.shape == [32, 32] && record.byteRange == 0..<32 * 18)
    #expect(checkpoint.tensorNames == ["m.weight"])
    let values = try floats(checkpoint)
    for n in 0..<32 {
      for k in 0..<32 { #expect(values[32 * n + k] == value((k + n) % 16 - 8, n)) }
    }
    #expect(checkpoint.card.quantization?.forms == [.init(type: "q4_0", reason: nil, tensors: 1, bytes: 32 * 18)])
  }

  @Test("zeros make it q5_0; those of the first format are one more than is written, borrows and all")
  func zeros() throws {
    // True zeros 0, 5, 15, 1, and then 7.
    let zeros = [0, 5, 15, 1] + [Int](repeating: 7, count: 28)
    let words = (0..<4).map { word -> UInt32 in Self.nibbles { zeros[8 * word + $0] } &- 0x1111_1111 }
    let first = Self.gptq.split(separator: "_v2").joined()
    let checkpoint = try open([Self.qweight, Self.scales, .words("m.qzeros", [1, 4], words)], first)
    #expect(try checkpoint.tensor("m.weight").dtype == .q5_0)
    let values = try floats(checkpoint)
    for n in 0..<32 {
      for k in 0..<32 { #expect(values[32 * n + k] == value((k + n) % 16 - zeros[n], n)) }
    }
  }

  @Test("groups in no order make it float16, with each input's own scale")
  func order() throws {
    let order = Tensor.words("m.g_idx", [32], (0..<32).map { $0 * 7 % 2 })
    let scales = Tensor.halves("m.scales", [2, 32], (0..<64).map { Float($0 + 1) / 64 })
    let zeros = Tensor.words("m.qzeros", [2, 4], [UInt32](repeating: 0x8888_8888, count: 8))
    let checkpoint = try open([Self.qweight, scales, zeros, order])
    #expect(try checkpoint.tensor("m.weight").dtype == .float16)
    #expect(checkpoint.card.quantization?.forms.first?.reason == "groups of inputs in no order")
    let values = try floats(checkpoint)
    for n in 0..<32 {
      for k in 0..<32 {
        let scale = Float(32 * (k * 7 % 2) + n + 1) / 64
        let exact = Float((k + n) % 16 - 8) * scale
        #expect(values[32 * n + k] == Float(Float16(exact)))
      }
    }
  }

  @Test("a list of zeros, which some programs write, is no list")
  func zeroList() throws {
    let order = Tensor.words("m.g_idx", [32], [UInt32](repeating: 0, count: 32))
    let scales = Tensor.halves("m.scales", [2, 32], (0..<64).map { Float($0 + 1) / 64 })
    let zeros = Tensor.words("m.qzeros", [2, 4], [UInt32](repeating: 0x8888_8888, count: 8))
    let halves = Self.gptq.split(separator: ":32").joined(separator: ":16")
    let parts = [Self.qweight, scales, zeros, order]
    let values = try floats(open(parts, halves))
    for n in 0..<32 {
      for k in 0..<32 {
        let exact = Float((k + n) % 16 - 8) * (Float(32 * (k / 16) + n + 1) / 64)
        #expect(values[32 * n + k] == Float(Float16(exact)))
      }
    }
    #expect(complaint(parts, halves + ",\"desc_act\":true").contains("'m.g_idx' lists zeros alone"))
  }

  @Test("eight-bit floats have the values of the format")
  func float8() {
    #expect(Float8.values[0x7E] == 448 && Float8.values[0xFE] == -448 && Float8.values[0x7F].isNaN)
    #expect(Float8.values[0x01] == 0x1p-9 && Float8.values[0x08] == 0x1p-6 && Float8.values[0x38] == 1)
    #expect(Float8.values[0x39] == 1.125 && Float8.values[0x80] == 0 && Float8.values[0xC4] == -3)
  }

  @Test("a scale that float16 does not have makes it float32")
  func scales() throws {
    let bytes = (0..<32).flatMap { _ in withUnsafeBytes(of: Float(0.1).bitPattern.littleEndian, Array.init) }
    let checkpoint = try open([Self.qweight, Tensor("m.scales", "F32", [1, 32], bytes), Self.qzeros])
    #expect(try checkpoint.tensor("m.weight").dtype == .float32)
    #expect(try floats(checkpoint)[1] == Float(1 - 8) * 0.1)
  }

  // MARK: Refusals

  @Test("parts that are missing, left over or in the wrong place are named")
  func parts() {
    #expect(complaint([Self.qweight, Self.qzeros]).contains("tensor 'm.scales' is missing"))
    #expect(complaint([Self.qweight, Self.scales]).contains("tensor 'm.qzeros' is missing"))
    #expect(complaint([Self.scales, Self.qzeros]).contains("has no qweight beside it"))
    #expect(
      complaint(Self.sound + [.halves("m.weight", [1], [0])]).contains("'m.weight' and the parts of it quantised"))
    #expect(complaint(Self.sound, Self.gptq + ",\"desc_act\":true").contains("'m.g_idx' is missing"))
  }

  @Test("sizes that do not fit one another are named with what was expected")
  func sizes() {
    #expect(
      complaint(changed("m.scales") { $0 = .halves("m.scales", [2, 16], [Float](repeating: 1, count: 32)) })
        .contains("'m.scales' has shape [2, 16], expected [1, 32]"))
    #expect(
      complaint(changed("m.qzeros") { $0 = .words("m.qzeros", [2, 4], [UInt32](repeating: 0, count: 8)) })
        .contains("'m.qzeros' has shape [2, 4], expected [1, 4]"))
    #expect(
      complaint(changed("m.qweight") { $0 = .words("m.qweight", [4, 31], [UInt32](repeating: 0, count: 124)) })
        .contains("expected [1, 31]"))
    #expect(
      complaint([
        .words("m.qweight", [4, 7], [UInt32](repeating: 0, count: 28)),
        .halves("m.scales", [1, 7], [1, 1, 1, 1, 1, 1, 1]),
        .words("m.qzeros", [1, 1], [0]),
      ]).contains("its 4-bit zeros fill no whole words"))
    #expect(
      complaint(changed("m.qweight") { $0 = .halves("m.qweight", [4, 32], [Float](repeating: 0, count: 128)) })
        .contains("is F16 [4, 32], expected I32 with 2 axes"))
    #expect(complaint(changed("m.qweight") { $0 = .words("m.qweight", [0, 32], []) }).contains("has 0 bytes"))
  }

  @Test("a group that is none, and a scale that is no number, are named with their place")
  func values() {
    let order = Tensor.words("m.g_idx", [32], (0..<32).map { (input: Int) -> UInt32 in input == 9 ? 1 : 0 })
    #expect(complaint(Self.sound + [order]).contains("puts input 9 into group 1, but has the groups 0..<1"))
    let negative = Tensor.words("m.g_idx", [32], (0..<32).map { (input: Int) -> UInt32 in input == 3 ? .max : 0 })
    #expect(complaint(Self.sound + [negative]).contains("puts input 3 into group -1"))
    #expect(
      complaint(
        changed("m.scales") {
          $0.bytes[1] = 0x7C; $0.bytes[0] = 0
        }
      ).contains("'m.scales' has the scale inf"))
  }

  @Test("lying shapes of compressed-tensors are refused")
  func packedShapes() {
    let words = Tensor.words("m.weight_packed", [2, 4], [UInt32](repeating: 0, count: 8))
    let scales = Tensor.halves("m.weight_scale", [2, 1], [1, 1])
    func shape(_ sizes: [Int64]) -> Tensor {
      Tensor(
        "m.weight_shape", "I64", [2], sizes.flatMap { size in withUnsafeBytes(of: size.littleEndian, Array.init) })
    }
    #expect(complaint([words, scales, shape([2, 32])], Self.packed) == "nothing")
    let order = Tensor.words("m.weight_g_idx", [32], [UInt32](repeating: .max, count: 32))
    #expect(complaint([words, scales, shape([2, 32]), order], Self.packed) == "nothing")
    let floats = Tensor("m.weight", "F8_E4M3", [5, 32], [UInt8](repeating: 0, count: 160))
    #expect(
      complaint([floats, scales], Self.naive.split(separator: "int-").joined(separator: "float-"))
        .contains(
          "'m.weight_scale' has shape [2, 1], which does not go with the 5 x 32 values of 'm.weight': blocks must"))
    #expect(complaint([words, scales, shape([2, 65])], Self.packed).contains("are not 2, 3, 4 or 8 bits each"))
    #expect(complaint([words, scales, shape([2, .max])], Self.packed).contains("says 2 x 9223372036854775807 values"))
    #expect(complaint([words, scales, shape([2, -32])], Self.packed).contains("says 2 x -32 values"))
    #expect(complaint([words, scales, shape([2, 16])], Self.packed).contains("has 8 bits, of which"))
    #expect(complaint([words, scales], Self.packed).contains("'m.weight_shape' is missing"))
    let bytes = Tensor("m.weight", "I8", [2, 64], [UInt8](repeating: 0, count: 64))
    #expect(complaint([bytes, scales], Self.naive).contains("of shape [2, 64] has 64 bytes"))
    let huge = Tensor("m.weight", "I8", [1 << 31, 1 << 31], [UInt8](repeating: 0, count: 64))
    #expect(complaint([huge, scales], Self.naive).contains("has 64 bytes"))
  }

  @Test("what is not read is refused by name, with what to do instead")
  func methods() {
    let cases = [
      ("\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true", "in the blocks of bitsandbytes"),
      ("\"quant_method\":\"hqq\"", "quantised by 'hqq'; read are gptq, awq and compressed-tensors"),
      ("\"bits\":4", "quantised by a method it does not name"),
      ("\"quant_method\":\"gptq\",\"bits\":5", "'bits' is 5, expected 2, 3, 4 or 8"),
      ("\"quant_method\":\"gptq\",\"bits\":4,\"checkpoint_format\":\"marlin\"", "expected gptq or gptq_v2"),
      ("\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":0", "'group_size' is 0"),
      ("\"quant_method\":\"awq\",\"version\":\"gemv\"", "'version' is \"gemv\", expected gemm"),
      (Self.packed.split(separator: "pack-quantized").joined(separator: "marlin-24"), "format 'marlin-24'"),
      (Self.packed + ",\"transform_config\":{\"a\":1}", "'transform_config' is not read"),
      ("\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\"", "'config_groups' is missing"),
    ]
    for (scheme, expected) in cases { #expect(complaint(Self.sound, scheme).contains(expected), "\(scheme)") }
    #expect(
      checkpointError {
        try folder.write("config.json", "{\"model_type\":\"llama\"}")
        _ = try Checkpoint.open(folder.path)
      }?.description.contains("tensor 'm.qweight' is quantised, but it has no 'quantization_config'") == true)
  }

  @Test("no damaged folder traps")
  func mutations() throws {
    let order = Tensor.words("m.g_idx", [32], (0..<32).map { $0 / 16 })
    let scales = Tensor.halves("m.scales", [2, 32], (0..<64).map { Float($0 + 1) / 64 })
    let zeros = Tensor.words("m.qzeros", [2, 4], [UInt32](repeating: 0x7777_7777, count: 8))
    let packed = [
      Tensor.words("m.weight_packed", [2, 4], [UInt32](repeating: 7, count: 8)),
      .halves("m.weight_scale", [2, 1], [1, 1]),
      Tensor("m.weight_shape", "I64", [2], [2, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0]),
      Tensor("n.weight", "I8", [2, 33], [UInt8](repeating: 9, count: 66)), .halves("n.weight_scale", [2, 1], [1, 1]),
      Tensor("o.weight", "F8_E4M3", [2, 9], [UInt8](repeating: 9, count: 18)), .halves("o.weight_scale", [1], [1]),
    ]
    let cases = [(Self.gptq, Self.file([Self.qweight, scales, zeros, order])), (Self.packed, Self.file(packed))]
    var read = 0
    for (scheme, original) in cases {
      try folder.write("config.json", "{\"model_type\":\"llama\",\"quantization_config\":{\(scheme)}}")
      for seed in 0..<Mutation.cases / 2 {
        try folder.write("model.safetensors", Mutation.of(original, seed))
        guard let checkpoint = try? Checkpoint.open(folder.path) else { continue }
        for record in checkpoint.tensors.values {
          try record.withBytes { #expect($0.count == record.byteRange.count) }
          read += 1
        }
      }
    }
    #expect(read > 100)
  }
}
