import AngelCore

/// Whether the experts of a mixture are used about evenly.
struct BalanceCheck: DoctorCheck {
  static let name = "experts' balance"
  /// Rows that each expert of a layer took.
  typealias Loads = [(layer: String, counts: [Int])]

  /// Nil where there is nothing to count, with the reason.
  let loads: () throws -> Loads?
  let reason: String
  /// How many times its even share the busiest expert may take.
  var limit = 4.0

  func run() throws -> DoctorFinding {
    guard let loads = try loads(), !loads.isEmpty else { return skipped(reason) }
    let busiest = loads.map { (layer: $0.layer, ratio: $0.counts.busiestShare) }.max { $0.ratio < $1.ratio }
    guard let busiest else { return skipped(reason) }
    let idle = loads.reduce(0) { $0 + $1.counts.count { $0 == 0 } }
    let value =
      "the busiest expert takes \(TextFormat.fixed(busiest.ratio, digits: 1)) times its even share (\(busiest.layer)), "
      + "\(idle) experts take none"
    return busiest.ratio > limit
      ? warning(value, remedy: "train with a balance loss, or bring more varied rows") : passed(value)
  }
}
