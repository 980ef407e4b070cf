public import AngelCore
import AngelNN

/// What the experts of a step had to do: part of a line of `metrics.jsonl`.
public struct ExpertRecord: Sendable, Hashable {
  /// The mean over the layers of the losses of the routers, unweighted; `balance` is K where K of E experts a token are
  /// evenly used.
  public var balance: Double
  public var z: Double
  /// For each layer with experts, the tokens of its busiest expert over those of the mean one: 1 is even, E / K the worst.
  public var load: [Double]
  /// For each layer with experts, those that no token chose.
  public var idle: [Int]
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
    load = counts.map { Double($0.max() ?? 0) * Double($0.count) / Double(max(1, $0.reduce(0, +))) }
    idle = counts.map { $0.count { $0 == 0 } }
  }

  public var json: JSONValue {
    [
      "balance_loss": .number(balance), "z_loss": .number(z), "load": .array(load.map { .number($0) }),
      "idle": .array(idle.map { .integer($0) }),
    ]
  }
}
