import AngelCore
import AngelTensor
import Glibc

/// Finds what the inputs of a fold are to be divided by: powers are tried, and the outputs decide.
struct ScaleSearch {
  /// Exponents tried beside no scaling.
  static let exponents = (1...10).map { Double($0) / 10 }

  let scaling: ChannelScaling
  let rounding: BlockRounding
  /// Of each layer.
  let formats: [DType]
  let inputs: LayerInputs
  /// For each input the channel that it is of, and how many there are; nil: each is its own.
  let channels: (ofInputs: [Int], count: Int)?

  /// The best scales for layers with these weights [N, K], or those of one exponent; nil: they are best as they are.
  func best(for weights: [Tensor], only exponent: Double?) throws -> FoldedScales.Scales? {
    guard let statistics = try statistics(weights) else { return nil }
    func scales(_ exponent: Double) -> FoldedScales.Scales {
      .init(values: Self.scales(statistics, exponent), exponent: exponent, channels: channels?.ofInputs)
    }
    if let exponent { return scales(exponent) }
    var best: FoldedScales.Scales?
    let wholes = try weights.map { try inputs.energy(of: $0) }
    var least = try error(of: weights, wholes, scales: nil)
    for exponent in Self.exponents {
      let scales = scales(exponent)
      let error = try error(of: weights, wholes, scales: scales.ofInputs)
      if error < least { (least, best) = (error, scales) }
    }
    return best
  }

  /// Per channel what grows the scale and what lessens it.
  private func statistics(_ weights: [Tensor]) throws -> (inputs: [Float], weights: [Float]?)? {
    guard let magnitudes = inputs.magnitudes else { return nil }
    switch scaling {
    case .awareOfInputs:
      // Heads that share a channel are averaged.
      var sums = perChannel(magnitudes.mean, +)
      if let channels { sums = sums.map { $0 * Float(channels.count) / Float(channels.ofInputs.count) } }
      return (sums, nil)
    case .smooth:
      var most = [Float](repeating: 0, count: inputs.squares.count)
      for weight in weights {
        let own: [Float] = try maximum(weight, -weight).max(over: 0).read()
        most = zip(most, own).map { max($0, $1) }
      }
      return (perChannel(magnitudes.most, max), perChannel(most, max))
    }
  }

  private func perChannel(_ values: [Float], _ join: (Float, Float) -> Float) -> [Float] {
    guard let channels else { return values }
    var result = [Float](repeating: 0, count: channels.count)
    for (input, channel) in channels.ofInputs.enumerated() { result[channel] = join(result[channel], values[input]) }
    return result
  }

  /// Scales around 1, so that neither what makes the inputs nor the weights leave the range of their types.
  private static func scales(_ statistics: (inputs: [Float], weights: [Float]?), _ exponent: Double) -> [Float] {
    let power = Float(exponent)
    var scales = statistics.inputs.map { powf(max($0, 1e-4), power) }
    if let weights = statistics.weights {
      scales = zip(scales, weights).map { $0 / powf(max($1, 1e-4), 1 - power) }
    }
    guard let least = scales.min(), let most = scales.max() else { return scales }
    let middle = (least * most).squareRoot()
    return scales.map { $0 / middle }
  }

  /// The share of the outputs' energy that is wrong, summed over the layers.
  private func error(of weights: [Tensor], _ wholes: [Double], scales: [Float]?) throws -> Double {
    let divisor = scales.map { Tensor($0, on: inputs.moments.backend) }
    let guide = try rounding.guide(inputs, scales: scales)
    return try weights.indices.reduce(0) { sum, index in
      let (weight, format, whole) = (weights[index], formats[index], wholes[index])
      let rounded = PackedMatrix(packing: rounding(divisor.map { weight * $0 } ?? weight, as: format, guide))
      switch scaling {
      case .awareOfInputs:
        let values = rounded.dequantized()
        return whole > 0 ? sum + (try inputs.energy(of: weight - (divisor.map { values / $0 } ?? values))) / whole : sum
      case .smooth: return sum + (try inputs.roundedProductError(weight, rounded, divisor: divisor) ?? 0)
      }
    }
  }
}

extension LayerInputs {
  /// The share of ‖W X‖² that is wrong when the rounded weight meets inputs rounded to int8, over the sample; nil without one.
  func roundedProductError(_ weight: Tensor, _ rounded: PackedMatrix, divisor: Tensor?) throws -> Double? {
    guard let sample, rounded.dtype.isQuantized else { return nil }
    let exact = DenseProduct(transposesRight: true)(sample, weight)
    let found = (divisor.map { sample / $0 } ?? sample).quantizedRows(.int8Rows).matmul(rounded)
    let whole = try Self.sum(exact.squared())
    return whole > 0 ? try Self.sum((exact - found).squared()) / whole : 0
  }
}
