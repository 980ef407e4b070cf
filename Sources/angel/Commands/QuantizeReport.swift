import AngelCore
import AngelHCF
import AngelModels
import AngelTensor

/// What `angel quantize` prints.
struct QuantizeReport {
  let model: String
  let method: QuantizeMethod
  /// How half of the weights became zero; nil: they did not.
  let pruning: PruningMethod?
  let type: DType
  /// Bytes of the model it came from.
  let byteCount: Int
  let rounded: Quantizer.Result
  let written: ModelConverter.Result
  /// Perplexities, where a text was given.
  let before: Double?
  let after: Double?
  /// Tokens a second of decoding, where a text was given.
  let speeds: (before: Double, after: Double)?

  /// Small models lose more than large ones; from here on people notice.
  private static let noticeableLoss = 0.03

  private var writtenBytes: Int { written.byteCounts.reduce(0) { $0 + $1.bytes } }

  /// Mean errors of all layers, as chosen and to the nearest.
  private var meanErrors: (chosen: Double, nearest: Double) {
    let (layers, count) = (rounded.layers, Double(max(1, rounded.layers.count)))
    return (layers.reduce(0) { $0 + $1.error } / count, layers.reduce(0) { $0 + $1.nearestError } / count)
  }

  /// The share by which the perplexity has grown.
  private var loss: Double? {
    guard let before, let after else { return nil }
    return after / before - 1
  }

  var lines: [String] {
    var lines = [
      "\(model) is at \(written.path): \(rounded.layers.count) layers in \(typeNames) by \(method.rawValue), "
        + "\(TextFormat.bytes(byteCount)) → \(TextFormat.bytes(writtenBytes))"
    ]
    if let pruning {
      lines.append(
        "Two of every four weights of these are zero by \(pruning.rawValue): in memory they take "
          + "\(TextFormat.bytes(heldBytes(pruned: true))) instead of \(TextFormat.bytes(heldBytes(pruned: false))).")
    }
    lines.append("Share of the outputs' energy that is wrong, the five worst layers first:")
    lines += errorTable.lines
    if let productErrors {
      lines.append(
        "Of products with inputs in int8 \(percent(productErrors.scaled)) is wrong, "
          + "\(percent(productErrors.plain)) if inputs were not scaled (mean of the layers).")
    }
    lines += planLines
    if let speeds {
      lines.append(
        "decoding \(TextFormat.fixed(speeds.before, digits: 1)) → \(TextFormat.fixed(speeds.after, digits: 1)) tokens/s"
      )
    }
    guard let before, let after, let loss else { return lines }
    lines.append(
      "perplexity \(TextFormat.fixed(before, digits: 3)) → \(TextFormat.fixed(after, digits: 3)) "
        + "(\(loss < 0 ? "" : "+")\(TextFormat.fixed(loss * 100, digits: 2)) %)")
    if loss > Self.noticeableLoss {
      lines.append(
        "That is more than \(TextFormat.fixed(Self.noticeableLoss * 100, digits: 0)) %, as is common with small models"
          + (pruning == nil ? "" : " that are pruned")
          + ": \(remedy), and so does calibrating on more text of the kind the model will see.")
    }
    return lines
  }

  private var remedy: String {
    guard let pruning else { return "--type q5_0 or q8_0 keeps more" }
    if type == .bfloat16 { return "--method gptq --type q8_0 keeps more" }
    if method.rounding == .gptq { return "leaving --prune out keeps more" }
    return pruning == .wanda ? "--method gptq keeps more" : "--prune wanda --method gptq keeps more"
  }

  /// Bytes of the layers in memory, as they are or as if they had no zeros.
  private func heldBytes(pruned: Bool) -> Int {
    rounded.layers.reduce(0) { sum, layer in
      let form = pruned ? layer.format.twoOfFour ?? layer.format : layer.format
      return sum + (PackedMatrix.byteCount(dtype: form, columns: layer.shape[0], depth: layer.shape[1]) ?? 0)
    }
  }

  /// The types and how many layers are of each, the smallest first.
  private var types: [(type: DType, count: Int)] {
    var counts: [DType: Int] = [:]
    for layer in rounded.layers { counts[layer.format, default: 0] += 1 }
    return counts.map { ($0.key, $0.value) }.sorted {
      ($0.type.byteCount(of: 256), $0.type.rawValue) < ($1.type.byteCount(of: 256), $1.type.rawValue)
    }
  }

  private var typeNames: String {
    types.count == 1
      ? types[0].type.name : types.map { "\($0.type.name) (\($0.count))" }.joined(separator: ", ")
  }

  /// Which layers have which type, where they were chosen or stand in for another.
  private var planLines: [String] {
    guard types.count > 1 else { return [] }
    var lines: [String] = []
    if let plan = rounded.plan {
      lines.append(
        "\(TextFormat.fixed(plan.bits, digits: 2)) bits a weight; expected to add "
          + "\(TextFormat.fixed(plan.expectedLoss, digits: 4)) to the loss. Types by layer:")
    } else {
      lines.append("Rows that are no whole blocks of \(type.name) are of another type:")
    }
    // The same kind of layer in all blocks, one line each.
    var kinds: [(name: String, formats: [String])] = []
    for layer in rounded.layers {
      let words = layer.path.split(separator: ".")
      let name = words.map { $0.allSatisfy(\.isNumber) ? "*" : String($0) }.joined(separator: ".")
      if let place = kinds.firstIndex(where: { $0.name == name }) {
        kinds[place].formats.append(layer.format.name)
      } else {
        kinds.append((name, [layer.format.name]))
      }
    }
    return lines + kinds.map { "  \($0.name): \(Self.runs($0.formats))" }
  }

  /// Equal neighbours once, with their number.
  private static func runs(_ names: [String]) -> String {
    var runs: [(name: String, count: Int)] = []
    for name in names {
      if runs.last?.name == name { runs[runs.count - 1].count += 1 } else { runs.append((name, 1)) }
    }
    return runs.map { $0.count == 1 ? $0.name : "\($0.count) × \($0.name)" }.joined(separator: ", ")
  }

  /// Mean shares of products with rounded inputs, where they were measured.
  private var productErrors: (scaled: Double, plain: Double)? {
    let errors = rounded.layers.compactMap(\.productErrors)
    guard !errors.isEmpty else { return nil }
    let count = Double(errors.count)
    return (errors.reduce(0) { $0 + $1.scaled } / count, errors.reduce(0) { $0 + $1.plain } / count)
  }

  private func percent(_ share: Double) -> String { TextFormat.fixed(share * 100, digits: 3) + " %" }

  private var errorTable: Table {
    let other = pruning == nil ? "TO THE NEAREST" : "BY MAGNITUDE, TO THE NEAREST"
    var table = Table([("LAYER", .left), ("SHAPE", .left), ("ERROR", .right), (other, .right)])
    for layer in rounded.layers.sorted(by: { $0.error > $1.error }).prefix(5) {
      table.append([
        layer.path + (layer.isCalibrated || !method.needsText ? "" : " (not calibrated)"), "\(layer.shape)",
        percent(layer.error),
        percent(layer.nearestError),
      ])
    }
    table.append(["all, mean", "", percent(meanErrors.chosen), percent(meanErrors.nearest)])
    return table
  }

  var json: JSONValue {
    let layers = rounded.layers.map { layer -> JSONValue in
      [
        "path": .string(layer.path), "shape": .array(layer.shape.array.map { .integer($0) }),
        "type": .string(layer.format.name), "calibrated": .bool(layer.isCalibrated), "error": .number(layer.error),
        "nearest_error": .number(layer.nearestError),
        "exponent": layer.exponent.map { .number($0) } ?? .null,
        "int8_error": layer.productErrors.map { .number($0.scaled) } ?? .null,
        "int8_error_unscaled": layer.productErrors.map { .number($0.plain) } ?? .null,
      ]
    }
    return [
      "model": .string(model), "path": .string(written.path), "method": .string(method.rawValue),
      "prune": pruning.map { .string($0.rawValue) } ?? .null,
      "type": .string(type.name), "bytes_before": .integer(byteCount), "bytes": .integer(writtenBytes),
      "passes": .integer(rounded.passes), "error": .number(meanErrors.chosen),
      "nearest_error": .number(meanErrors.nearest), "perplexity_before": before.map { .number($0) } ?? .null,
      "perplexity": after.map { .number($0) } ?? .null,
      "tokens_per_second_before": speeds.map { .number($0.before) } ?? .null,
      "tokens_per_second": speeds.map { .number($0.after) } ?? .null,
      "bits": rounded.plan.map { .number($0.bits) } ?? .null,
      "expected_loss": rounded.plan.map { .number($0.expectedLoss) } ?? .null, "layers": .array(layers),
    ]
  }
}
