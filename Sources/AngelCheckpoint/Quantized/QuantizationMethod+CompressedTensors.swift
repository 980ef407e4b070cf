import AngelCore

extension QuantizationMethod {
  /// The formats whose weights are read (`CompressionFormat` of the package).
  private static let formats: Set<String> = [
    "pack-quantized", "int-quantized", "naive-quantized", "float-quantized",
  ]

  /// What compressed-tensors says about its weights; nil where they are plain floats.
  static func compressedTensors(
    _ fields: ConfigurationFields, _ object: JSONObject, _ path: String
  ) throws(CheckpointError) -> QuantizationMethod? {
    for key in ["transform_config", "sparsity_config"] {
      guard let other = fields[key]?.object, !other.members.isEmpty, other["format"]?.string != "dense" else {
        continue
      }
      throw CheckpointError.unsupported(
        path: path,
        reason:
          "compressed-tensors' \(quoted(key)) is not read: its weights are not those of the layers alone; take the "
          + "model it was made from, or one quantised without")
    }
    guard let groups = try fields.fields("config_groups").flatMap({ _ in object["config_groups"]?.object }) else {
      throw CheckpointError.damaged(path: path, format: "model configuration", reason: "'config_groups' is missing")
    }
    let outer = fields["format"]?.string
    if outer == "dense" { return nil }
    var bits: Set<Int> = []
    for member in groups.members {
      guard let group = member.value.object else { throw fields.wrong(member.key, member.value, "an object") }
      let format = group["format"]?.string ?? outer ?? "no format"
      guard formats.contains(format) else {
        throw CheckpointError.unsupported(
          path: path,
          reason: "its weights are in compressed-tensors' format \(quoted(format)); read are "
            + formats.sorted().joined(separator: ", ")
            + ": quantise the model in one of these, or take the model it was made from")
      }
      guard let weights = group["weights"]?.object else { continue }
      bits.insert(try ConfigurationFields(weights, path: path).integer("num_bits", in: 1...32))
    }
    return .compressedTensors(bits: bits)
  }
}
