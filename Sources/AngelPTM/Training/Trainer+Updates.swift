import AngelData
import AngelNN
import AngelTensor

extension Trainer {
  /// What a step came to.
  struct Outcome {
    var loss: Double
    var norm: Double
    var load: ExpertRecord?
    /// Nil where it was not measured.
    var ratios: UpdateRatios?
    /// Where values first stopped being finite; nil when the step was taken.
    var culprit: String?
  }

  /// All gradients first, their norm, then every parameter: what clipping needs, and a step that can be left out whole.
  func updateAfterBackward(of batches: [TokenBatch], weight: Double, rate: Double) throws -> Outcome {
    let (loss, gradients, load) = try gradients(of: batches, weight: weight)
    let norm = try layout.norm(of: gradients)
    guard loss.isFinite, norm.isFinite else {
      // One process looks for it; the others only leave the step out.
      let culprit = try layout.isFirst ? firstNotFinite(in: batches, gradients) : ""
      return Outcome(loss: loss, norm: norm, load: load, culprit: culprit)
    }
    let limit = optimizerConfiguration.clip ?? .infinity
    var ratios = newRatios
    for (path, parameter, gradient) in gradients {
      try update(
        parameter, path: path, gradient, scale: norm > limit ? limit / (norm + 1e-6) : 1, rate: rate, &ratios)
      layout.changed(path)
    }
    average?.follow(step: step - skippedSteps)
    try layout.publish()
    try ratios?.complete { try layout.summed($0) }
    return Outcome(loss: loss, norm: norm, load: load, ratios: ratios)
  }

  /// Every parameter as soon as its gradient is known, which is then released: the bits of `updateAfterBackward` without
  /// clipping, and never more than a few gradients at a time. On one process alone.
  ///
  /// - Throws: `PTMError.halfUpdated` at a gradient that is not finite, since what was changed before it stays changed.
  func updateInBackward(of batch: TokenBatch, weight: Double, rate: Double) throws -> Outcome {
    let routers = RouterRegularizer(balance: experts.balance, z: experts.z)
    let loss = loss(of: batch, weight: weight, routers)
    let value = Double(try loss.detached.read(as: Float.self)[0])
    guard value.isFinite else {
      let load = ExpertRecord([try routers.loads()])
      return Outcome(loss: value, norm: .nan, load: load, culprit: try firstNotFinite(in: [batch], []))
    }
    var squares = [[Double]](repeating: [], count: parameters.count)
    var ratios = newRatios
    var failure: (any Error)?
    loss.backward { leaf, gradient in
      guard failure == nil, let place = places[ObjectIdentifier(leaf)] else { return }
      do {
        let (path, parameter) = parameters[place]
        squares[place] = try gradient.squareSums().read(as: Double.self)
        guard squares[place].allSatisfy(\.isFinite) else { throw PTMError.halfUpdated(step: step + 1, path: path) }
        try update(parameter, path: path, gradient, scale: 1, rate: rate, &ratios)
      } catch { failure = error }
    }
    if let failure { throw failure }
    average?.follow(step: step - skippedSteps)
    // Summed as GradientNorm sums them.
    let norm = squares.joined().reduce(0, +).squareRoot()
    return Outcome(loss: value, norm: norm, load: ExpertRecord([try routers.loads()]), ratios: ratios)
  }

  /// What measures this step's updates; nil where this is no step of `watch_every`.
  private var newRatios: UpdateRatios? {
    schedule.watchEvery.flatMap { step % $0 == 0 ? UpdateRatios(of: parameters.map(\.path)) : nil }
  }

  /// Changes one parameter, and measures by how much where that is asked for.
  private func update(
    _ parameter: Parameter, path: String, _ gradient: Tensor, scale: Double, rate: Double,
    _ ratios: inout UpdateRatios?
  ) throws {
    let ownRate = path.hasSuffix(".adapter.up") ? rate * upRatio : rate
    func change() throws {
      try optimizer.update(
        parameter, path: path, gradient: gradient, gradientScale: Float(scale), learningRate: Float(ownRate),
        step: step + 1 - skippedSteps)
    }
    guard ratios != nil else { return try change() }
    try ratios?.measure(parameter, path: path, changers: layout.changerCount(of: path), change)
  }
}
