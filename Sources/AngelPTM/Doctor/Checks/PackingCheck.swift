import AngelCore
import AngelData

/// Whether rows that share a batch see each other: a row's loss must not depend on its neighbours.
struct PackingCheck: DoctorCheck {
  static let name = "packing"
  /// At least two rows.
  let samples: [TokenSample]
  /// The loss of each row of a batch by itself.
  let rowLosses: (TokenBatch) throws -> [Double]
  /// Kernels give a row the same bits wherever it stands; a little is left for others.
  var tolerance = 1e-5

  func run() throws -> DoctorFinding {
    guard samples.count > 1 else { return skipped("there is only one row") }
    let count = samples.count
    var greatest = (difference: 0.0, row: 0)
    let reference = try rowLosses(TokenBatch(samples))
    // Every row stands after another neighbour, and the first has one at all.
    let orders = [Array((0..<count).reversed()), (0..<count).map { ($0 + 1) % count }]
    for order in orders {
      let losses = try rowLosses(TokenBatch(order.map { samples[$0] }))
      for (place, row) in order.enumerated() {
        let difference = abs(losses[place] - reference[row]) / max(abs(reference[row]), 1e-6)
        if !(difference <= greatest.difference) { greatest = (difference, row) }
      }
    }
    let value = "\(count) rows in \(orders.count + 1) orders: losses differ by \(DoctorText.small(greatest.difference))"
    guard greatest.difference <= tolerance else {
      return failed(
        value + " (row \(greatest.row + 1))", remedy: "rows of a batch see each other: set data.packing to false")
    }
    return passed(value)
  }
}
