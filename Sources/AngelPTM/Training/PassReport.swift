import AngelNN

/// What one pass of a step has to say, as numbers that can be sent to other processes.
struct PassReport {
  let loss: Double
  let loads: [RouterRegularizer.Load]
  /// Whether the pass's rows are part of the step.
  let counts: Bool

  init(loss: Double, loads: [RouterRegularizer.Load], counts: Bool) {
    self.loss = loss
    self.loads = loads
    self.counts = counts
  }

  /// Of each layer with experts, how many it has.
  var expertCounts: [Int] { loads.map(\.rows.count) }

  var numbers: [Double] {
    [counts ? loss : 0, counts ? 1 : 0] + loads.flatMap { [$0.balance, $0.z] + $0.rows.map(Double.init) }
  }

  init(numbers: [Double], expertCounts: [Int]) {
    loss = numbers[0]
    counts = numbers[1] != 0
    var rest = numbers.dropFirst(2)
    loads = expertCounts.map { count in
      let layer = Array(rest.prefix(2 + count))
      rest = rest.dropFirst(2 + count)
      return RouterRegularizer.Load(rows: layer.dropFirst(2).map { Int($0) }, balance: layer[0], z: layer[1])
    }
  }
}
