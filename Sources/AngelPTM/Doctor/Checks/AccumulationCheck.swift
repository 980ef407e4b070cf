import AngelCore
import AngelData
import AngelNN
import AngelTensor

/// Whether one batch of B rows and B batches of one row make the same step: a loss that is averaged per batch instead
/// of over all trained tokens counts short rows too much.
struct AccumulationCheck: DoctorCheck {
  static let name = "accumulation"
  /// A step's loss and gradients.
  typealias Step = (loss: Double, gradients: [Trainer.NamedGradient])

  /// Rows with different numbers of trained tokens, at least two.
  let samples: [TokenSample]
  /// The loss and the gradients of one step made of these batches.
  let step: ([TokenBatch]) throws -> Step
  /// The greatest difference by the norm of the gradients that rounding explains.
  var tolerance = 1e-3

  func run() throws -> DoctorFinding {
    guard samples.count > 1 else { return skipped("there is only one row") }
    let batches = samples.map { TokenBatch([$0]) }
    let whole = try step([TokenBatch(samples)])
    let parts = try step(batches)
    let size = try GradientNorm.of(whole.gradients.map(\.gradient))
    var squares = 0.0
    for (one, other) in zip(whole.gradients, parts.gradients) {
      let difference = try GradientNorm.of([one.gradient - other.gradient])
      squares += difference * difference
    }
    let error = squares.squareRoot() / max(size, 1e-30)
    let value =
      "1 x \(samples.count) and \(samples.count) x 1 rows: gradients differ by \(DoctorText.small(error)) of their "
      + "norm, losses \(TextFormat.fixed(whole.loss, digits: 5)) and \(TextFormat.fixed(parts.loss, digits: 5))"
    let isEqual =
      whole.gradients.count == parts.gradients.count && error <= tolerance
      && abs(whole.loss - parts.loss) <= tolerance * max(abs(whole.loss), 1e-6)
    guard isEqual else {
      return failed(
        value, remedy: "the loss is not divided by all trained tokens of a step; keep training.accumulation at 1")
    }
    return passed(value)
  }
}

/// Numbers as findings write them.
enum DoctorText {
  /// A small number with one digit: `0`, `3e-7`.
  static func small(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
    var (exponent, mantissa) = (0, abs(value))
    while mantissa < 1 { (exponent, mantissa) = (exponent - 1, mantissa * 10) }
    while mantissa >= 10 { (exponent, mantissa) = (exponent + 1, mantissa / 10) }
    if mantissa.rounded() == 10 { (exponent, mantissa) = (exponent + 1, 1) }
    return exponent >= -3 && exponent < 3
      ? TextFormat.fixed(abs(value), digits: 4) : "\(Int(mantissa.rounded()))e\(exponent)"
  }
}
