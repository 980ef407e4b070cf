import AngelCore

/// How the weights of a Hugging Face folder are quantised: `quantization_config` of its config.json.
enum QuantizationMethod: Sendable, Equatable {
  /// AutoGPTQ, GPTQModel: codes along the inputs (arXiv:2210.17323).
  ///
  /// - Parameters:
  ///   - bits: of most layers; some may have others.
  ///   - groupSize: nil: all inputs are one group.
  ///   - zerosAreLessOne: the first checkpoint format.
  ///   - needsOrder: whether inputs were taken by importance, so that files must list their groups.
  case gptq(bits: Int, groupSize: Int?, zerosAreLessOne: Bool, needsOrder: Bool)
  /// AutoAWQ's matrices in four bits (arXiv:2306.00978).
  case awq(groupSize: Int?, hasZeros: Bool)
  /// llm-compressor's formats; groups of layers may differ in their bits.
  case compressedTensors(bits: Set<Int>)

  /// `quant_method`.
  var name: String {
    switch self {
    case .gptq: "gptq"
    case .awq: "awq"
    case .compressedTensors: "compressed-tensors"
    }
  }

  /// What the configuration at `path` says; nil where it says nothing.
  ///
  /// Throws for methods and variants that are not read, naming them and what to do instead.
  init?(_ configuration: JSONObject, path: String) throws(CheckpointError) {
    guard let value = configuration[Self.key], !value.isNull else { return nil }
    guard let object = value.object else {
      throw .damaged(path: path, format: "model configuration", reason: "'\(Self.key)' is \(value.kind), not an object")
    }
    let fields = ConfigurationFields(object, path: path)
    switch object["quant_method"]?.string ?? "" {
    case "gptq": self = try Self.gptq(fields)
    case "awq": self = try Self.awq(fields)
    case "compressed-tensors":
      guard let method = try Self.compressedTensors(fields, object, path) else { return nil }
      self = method
    case "bitsandbytes":
      throw .unsupported(
        path: path,
        reason:
          "its weights are in the blocks of bitsandbytes, which only its own programs read; take the model it was "
          + "made from (and `angel quantize` that), or in Python load it, call dequantize() and save_pretrained()")
    case let name:
      throw .unsupported(
        path: path,
        reason: "its weights are quantised by \(name.isEmpty ? "a method it does not name" : quoted(name)); read are "
          + "gptq, awq and compressed-tensors: take one of these, a GGUF file, or the model it was made from")
    }
  }

  /// Where the configuration says it.
  static let key = "quantization_config"

  private static func gptq(_ fields: ConfigurationFields) throws(CheckpointError) -> QuantizationMethod {
    let bits = try fields.integer("bits", in: 1...32)
    let format = fields["checkpoint_format"]?.string ?? "gptq"
    guard [2, 3, 4, 8].contains(bits) else { throw fields.wrong("bits", .integer(bits), "2, 3, 4 or 8") }
    guard ["gptq", "gptq_v2"].contains(format) else {
      throw fields.wrong(
        "checkpoint_format", .string(format), "gptq or gptq_v2; save the model in one of these with GPTQModel")
    }
    if try fields.bool("is_marlin_format", default: false) {
      throw fields.wrong("is_marlin_format", true, "false; save the model as gptq or gptq_v2 with GPTQModel")
    }
    return .gptq(
      bits: bits, groupSize: try groupSize(fields), zerosAreLessOne: format == "gptq",
      needsOrder: try fields.bool("desc_act", default: false))
  }

  private static func awq(_ fields: ConfigurationFields) throws(CheckpointError) -> QuantizationMethod {
    let key = fields["bits"] == nil ? "w_bit" : "bits"
    let bits = try fields.integer(key, in: 1...32, default: 4)
    guard bits == 4 else { throw fields.wrong(key, .integer(bits), "4") }
    let version = (fields["version"]?.string ?? "gemm").lowercased()
    guard version == "gemm" else {
      throw fields.wrong("version", .string(version), "gemm; quantise the model again with version=\"GEMM\"")
    }
    return .awq(groupSize: try groupSize(fields), hasZeros: try fields.bool("zero_point", default: true))
  }

  /// Nil for -1: one group for all inputs.
  private static func groupSize(_ fields: ConfigurationFields) throws(CheckpointError) -> Int? {
    let key = fields["group_size"] == nil ? "q_group_size" : "group_size"
    let size = try fields.integer(key, in: -1...1 << 31, default: 128)
    guard size != 0 else { throw fields.wrong(key, 0, "-1 or a number of inputs") }
    return size < 0 ? nil : size
  }
}
