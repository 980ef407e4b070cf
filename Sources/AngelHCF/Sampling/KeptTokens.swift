/// The tokens a draw may choose, by rising id, with their unnormalised probabilities.
struct KeptTokens: Equatable {
  /// Token of each weight; nil when the position is the token.
  private(set) var tokens: [Int32]?
  private(set) var weights: [Float]

  init(tokens: [Int32]?, weights: [Float]) {
    self.tokens = tokens
    self.weights = weights
  }

  /// The token at a position.
  func token(_ position: Int) -> Int { tokens.map { Int($0[position]) } ?? position }

  /// Drops the positions that `isKept(weight, position)` refuses.
  mutating func keep(where isKept: (Float, Int) -> Bool) {
    var keptTokens: [Int32] = []
    var keptWeights: [Float] = []
    for position in weights.indices where isKept(weights[position], position) {
      keptTokens.append(Int32(token(position)))
      keptWeights.append(weights[position])
    }
    (tokens, weights) = (keptTokens, keptWeights)
  }

  /// Keeps the smallest set of likeliest tokens that reaches `share` of the probability.
  mutating func keepNucleus(_ share: Float) {
    guard share < 1 else { return }
    guard let border = weights.withUnsafeBufferPointer({ TopSelection.nucleus(share, of: $0) }) else { return }
    keep { border.includes($0, at: $1) }
  }

  /// The token where the running sum of weights first exceeds `uniform`, in [0, 1), of their total.
  func token(at uniform: Double) -> Int {
    weights.withUnsafeBufferPointer { weights in
      var total = 0.0
      for weight in weights { total += Double(weight) }
      let goal = uniform * total
      var sum = 0.0
      var last = 0
      for position in weights.indices where weights[position] > 0 {
        sum += Double(weights[position])
        last = position
        if sum > goal { break }
      }
      return token(last)
    }
  }
}
