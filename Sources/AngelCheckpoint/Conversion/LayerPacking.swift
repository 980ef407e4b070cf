public import AngelCore

/// Linear layers in blocks of 32 as compressed-tensors has them (`pack-quantized`): the same whole numbers and scales,
/// kept apart.
public enum LayerPacking {
  /// The block formats that are whole numbers times a scale, in 4 and 8 bits.
  static let types: [DType] = [.q4_0, .q8_0]
  /// Where config.json speaks of it.
  public static let configurationKey = QuantizationMethod.key

  /// What a tensor in blocks is made of.
  public enum Part: Sendable {
    /// Words [outputs, inputs · bits / 32] of codes, half of all codes being zero.
    case codes
    /// float16 [outputs, inputs / 32].
    case scales
  }

  /// Each tensor that is in blocks becomes codes, scales and its shape; the others stay.
  static func tensors(of tensors: [TensorSource]) throws(CheckpointError) -> [TensorSource] {
    let packed = tensors.filter { $0.dtype.isQuantized }
    guard let first = packed.first else {
      throw .unsupported(
        path: "the model", reason: "its layers are none that transformers calls linear; write a GGUF file instead")
    }
    if let other = packed.first(where: { $0.dtype != first.dtype }) {
      throw .invalidTensor(
        name: other.name, path: "the new file",
        reason: "it is \(other.dtype.name) and others are \(first.dtype.name); choose one for all with --type")
    }
    return tensors.flatMap { tensor in
      guard tensor.dtype.isQuantized else { return [tensor] }
      let (outputs, inputs) = (tensor.shape[0], tensor.shape[1])
      return [
        TensorSource(
          name: tensor.name + "_packed", dtype: .int32, shape: [outputs, inputs * bits(tensor.dtype) / 32],
          pieces: [.part(.codes, of: tensor)]),
        TensorSource(
          name: tensor.name + "_scale", dtype: .float16, shape: [outputs, inputs / 32],
          pieces: [.part(.scales, of: tensor)]),
        TensorSource(
          name: tensor.name + "_shape", dtype: .int64, shape: [2],
          pieces: [.integers([Int64(outputs), Int64(inputs)])]),
      ]
    }
  }

  /// `quantization_config` of config.json for tensors that have been packed.
  public static func configuration(of tensors: [TensorSource]) -> JSONValue {
    let packed = tensors.compactMap { tensor -> TensorSource? in
      if case .part(.codes, let source) = tensor.pieces.first { source } else { nil }
    }
    let others = tensors.filter { $0.shape.rank >= 2 && $0.dtype.isFloatingPoint }.compactMap { tensor -> String? in
      if case .part = tensor.pieces.first { return nil }
      return tensor.name.hasSuffix(".weight") ? String(tensor.name.dropLast(".weight".utf8.count)) : nil
    }
    // A tied head has no tensor, but is a linear layer.
    let ignored = Set(others + ["lm_head"]).sorted().map(JSONValue.string)
    let weights: JSONValue = [
      "num_bits": .integer(packed.first.map { bits($0.dtype) } ?? 4), "type": "int", "symmetric": true,
      "strategy": "group", "group_size": 32, "dynamic": false,
    ]
    return [
      "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
      "config_groups": [
        "group_0": [
          "targets": ["Linear"], "weights": weights, "input_activations": .null, "output_activations": .null,
        ]
      ], "ignore": .array(ignored), "kv_cache_scheme": .null,
    ]
  }

  /// The type of what has not been packed: float32 where anything is that.
  public static func otherType(of tensors: [TensorSource]) -> DType {
    let types = tensors.filter { tensor in
      if case .part = tensor.pieces.first { false } else { tensor.dtype.isFloatingPoint }
    }.map(\.dtype)
    return types.allSatisfy { $0 == types.first } ? types.first ?? .float32 : .float32
  }

  fileprivate static func bits(_ dtype: DType) -> Int { dtype == .q4_0 ? 4 : 8 }
}

extension LayerPacking.Part {
  /// This part of whole blocks of `dtype`, q4_0 or q8_0.
  func extracted(from blocks: UnsafeRawBufferPointer, _ dtype: DType) -> [UInt8] {
    let count = blocks.count / dtype.blockBytes
    var result: [UInt8] = []
    result.reserveCapacity(count * 32)
    for index in 0..<count {
      let start = index * dtype.blockBytes
      switch self {
      case .scales: result.append(contentsOf: blocks[start..<start + 2])
      case .codes:
        let quants = blocks[start + 2..<start + dtype.blockBytes]
        if dtype == .q8_0 {
          for quant in quants { result.append(quant ^ 0x80) }
        } else {
          // Low nibbles are elements 0 to 15, high ones 16 to 31; a word's bytes hold neighbours.
          Self.appendPairs(quants.lazy.map { $0 & 15 }, to: &result)
          Self.appendPairs(quants.lazy.map { $0 >> 4 }, to: &result)
        }
      }
    }
    return result
  }

  private static func appendPairs(_ nibbles: some Collection<UInt8>, to result: inout [UInt8]) {
    var low: UInt8?
    for nibble in nibbles {
      if let first = low {
        result.append(first | nibble << 4)
        low = nil
      } else {
        low = nibble
      }
    }
  }
}
