import AngelCore
import AngelHCF
import AngelModels

/// What `angel quantize` prints.
struct QuantizeReport {
  let model: String
  let method: QuantizeMethod
  let type: DType
  /// Bytes of the model it came from.
  let byteCount: Int
  let rounded: Quantizer.Result
  let written: ModelConverter.Result
  /// Perplexities, where a text was given.
  let before: Double?
  let after: Double?

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
      "\(model) is at \(written.path): \(rounded.layers.count) layers in \(type.name) by \(method.rawValue), "
        + "\(TextFormat.bytes(byteCount)) → \(TextFormat.bytes(writtenBytes))",
      "Share of the outputs' energy that is wrong, the five worst layers first:",
    ]
    lines += errorTable.lines
    if let productErrors {
      lines.append(
        "Of products with inputs in int8 \(percent(productErrors.scaled)) is wrong, "
          + "\(percent(productErrors.plain)) if inputs were not scaled (mean of the layers).")
    }
    guard let before, let after, let loss else { return lines }
    lines.append(
      "perplexity \(TextFormat.fixed(before, digits: 3)) → \(TextFormat.fixed(after, digits: 3)) "
        + "(\(loss < 0 ? "" : "+")\(TextFormat.fixed(loss * 100, digits: 2)) %)")
    if loss > Self.noticeableLoss {
      lines.append(
        "That is more than \(TextFormat.fixed(Self.noticeableLoss * 100, digits: 0)) %, as is common with small models: "
          + "--type q5_0 or q8_0 keeps more, and so does calibrating on more text of the kind the model will see.")
    }
    return lines
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
    var table = Table([("LAYER", .left), ("SHAPE", .left), ("ERROR", .right), ("TO THE NEAREST", .right)])
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
        "calibrated": .bool(layer.isCalibrated), "error": .number(layer.error),
        "nearest_error": .number(layer.nearestError),
        "exponent": layer.exponent.map { .number($0) } ?? .null,
        "int8_error": layer.productErrors.map { .number($0.scaled) } ?? .null,
        "int8_error_unscaled": layer.productErrors.map { .number($0.plain) } ?? .null,
      ]
    }
    return [
      "model": .string(model), "path": .string(written.path), "method": .string(method.rawValue),
      "type": .string(type.name), "bytes_before": .integer(byteCount), "bytes": .integer(writtenBytes),
      "passes": .integer(rounded.passes), "error": .number(meanErrors.chosen),
      "nearest_error": .number(meanErrors.nearest), "perplexity_before": before.map { .number($0) } ?? .null,
      "perplexity": after.map { .number($0) } ?? .null, "layers": .array(layers),
    ]
  }
}
