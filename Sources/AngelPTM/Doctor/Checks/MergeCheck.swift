import AngelCore

/// Whether weights with the adapter added to them give the adapter's logits.
struct MergeCheck: DoctorCheck {
  static let name = "merged adapter"
  /// Logits of some rows with the model as it is, with the adapter beside it, and with the adapter added to the
  /// weights.
  struct Logits {
    var base: [Float]
    var adapted: [Float]
    var merged: [Float]
  }

  /// Nil where there are no adapters.
  let logits: (() throws -> Logits)?
  /// The greatest difference by the greatest logit that rounding explains.
  var tolerance = 1e-3

  func run() throws -> DoctorFinding {
    guard let logits = try logits?() else { return skipped("no adapters are trained") }
    let scale = logits.adapted.reduce(Float(0)) { max($0, abs($1)) }
    func difference(_ one: [Float], _ other: [Float]) -> Double {
      guard one.count == other.count else { return .infinity }
      return Double(zip(one, other).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }) / Double(max(scale, 1e-30))
    }
    let (merged, base) = (difference(logits.merged, logits.adapted), difference(logits.base, logits.adapted))
    let value =
      "logits of the merged model differ by \(DoctorText.small(merged)) of the largest, the adapter itself "
      + "changes them by \(DoctorText.small(base))"
    guard base > 0 else {
      return failed(value, remedy: "the adapter changes nothing: name other layers in lora.targets")
    }
    guard merged <= tolerance, merged < base else {
      return failed(value, remedy: "do not merge: serve the adapter beside its model, and report this")
    }
    return passed(value)
  }
}
