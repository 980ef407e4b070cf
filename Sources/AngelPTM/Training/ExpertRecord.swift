public import AngelCore
import AngelNN

/// What the experts of a step had to do: part of a line of `metrics.jsonl`.
public struct ExpertRecord: Sendable, Hashable {
  /// The mean over the layers of the losses of the routers, unweighted; `balance` is K where K of E experts a token are
  /// evenly used.
  public var balance: Double
  public var z: Double
  /// For each layer with experts, the tokens of its busiest expert over those of the mean one: 1 is even, E / K the worst.
  public var load: [Double] { counts.map(\.busiestShare) }
  /// For each layer with experts, those that no token chose.
  public var idle: [Int] { counts.map { $0.count { $0 == 0 } } }
  /// For each layer with experts, the tokens of each expert.
  public var counts: [[Int]]

  /// The numbers of all passes of a step; nil where the model has no experts.
  init?(_ passes: [[RouterRegularizer.Load]]) {
    guard let first = passes.first, !first.isEmpty else { return nil }
    counts = first.indices.map { layer in
      passes.dropFirst().reduce(first[layer].rows) { sum, pass in zip(sum, pass[layer].rows).map { $0 + $1 } }
    }
    let all = passes.joined()
    balance = all.reduce(0) { $0 + $1.balance } / Double(all.count)
    z = all.reduce(0) { $0 + $1.z } / Double(all.count)
  }

  public var json: JSONValue {
    [
      "balance_loss": .number(balance), "z_loss": .number(z), "load": .array(load.map { .number($0) }),
      "idle": .array(idle.map { .integer($0) }),
    ]
  }
}

extension [Int] {
  /// Of the rows that each expert of a layer took, those of the busiest over those of the mean one.
  var busiestShare: Double { Double(self.max() ?? 0) * Double(count) / Double(Swift.max(1, reduce(0, +))) }
}
