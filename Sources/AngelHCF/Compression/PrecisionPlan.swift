import AngelCheckpoint
public import AngelCore
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import Glibc

/// Formats of the layers of a model, chosen so that the model is of a size and loses least.
public struct PrecisionPlan: Sendable {
  /// What a plan is to keep to.
  public enum Budget: Sendable, Equatable {
    /// Mean bits of a weight of the rounded layers, the scales of blocks included.
    case bits(Double)
    /// Bytes of the rounded layers together.
    case bytes(Int)
    /// The share by which the perplexity may grow, as it is expected to: the smallest such model.
    case loss(Double)
  }

  /// By path of a linear layer.
  public let formats: [String: DType]
  /// Mean bits of a weight.
  public let bits: Double
  /// What rounding is expected to add to the loss, nats a token.
  public let expectedLoss: Double
}

/// Measures what each layer loses in each format and how much that moves the loss, and shares out a budget.
struct PrecisionPlanner {
  let quantizer: Quantizer
  let budget: PrecisionPlan.Budget

  /// Windows that gradients are taken of, and tokens of each: means of squares are known well enough from few.
  private static let (gradientWindows, gradientLength) = (8, 256)

  func plan<Model: LanguageModel>(
    _ model: Model, _ layers: [(path: String, weight: Parameter)], _ windows: [[Int32]], on backend: any Backend,
    pool: PagePool
  ) throws -> PrecisionPlan {
    let weightCount = layers.reduce(0) { $0 + $1.weight.shape.elementCount }
    let limit = budget.limit(weightCount: weightCount)
    // What no choice can keep to shows before anything is computed.
    let least = layers.reduce(0) { sum, layer in
      let (depth, count) = (layer.weight.shape[1], layer.weight.shape.elementCount)
      return sum + (Self.formats(forRowsOf: depth).map { $0.byteCount(of: count) }.min() ?? 0)
    }
    if case .bytes(let most) = limit { try require(most, least, weightCount) }
    let gradients = try LossGradients(
      of: model, layers: layers.map(\.path),
      windows.prefix(Self.gradientWindows).map { Array($0.prefix(Self.gradientLength)) }, on: backend,
      report: quantizer.report)
    let losses = try losses(model, layers, gradients, windows, on: backend, pool: pool)
    // What is one tensor in a file is of one type.
    let names = Model.names(for: model.configuration)
    var parts: [[(path: String, weight: Parameter)]] = []
    var placeOfTensor: [String: Int] = [:]
    for layer in layers {
      let name = names.tensor(forParameter: layer.path + ".weight", in: .gguf)?.name ?? layer.path
      if let place = placeOfTensor[name] {
        parts[place].append(layer)
      } else {
        placeOfTensor[name] = parts.count
        parts.append([layer])
      }
    }
    if case .loss = limit, let unseen = layers.first(where: { losses[$0.path] == nil }) {
      throw QuantizerError.losesUnknown(unseen.path)
    }
    let assignment = PrecisionAssignment(parts.map { choices(for: $0, losses) }, within: limit)
    var formats: [String: DType] = [:]
    for (part, choice) in zip(parts, assignment.choices) { for layer in part { formats[layer.path] = choice.format } }
    let plan = PrecisionPlan(
      formats: formats, bits: Double(assignment.byteCount) * 8 / Double(weightCount), expectedLoss: assignment.loss)
    switch limit {
    case .bytes(let most): try require(most, assignment.byteCount, weightCount)
    case .loss(let most):
      // A loss that is no number keeps to nothing.
      guard assignment.loss <= most else { throw QuantizerError.losesMore(expected: assignment.loss, most: most) }
    }
    return plan
  }

  /// Throws where `most` bytes are fewer than `least`.
  private func require(_ most: Int, _ least: Int, _ weightCount: Int) throws(QuantizerError) {
    guard most < least else { return }
    func bits(_ bytes: Int) -> Double { Double(bytes) * 8 / Double(weightCount) }
    throw .tooSmall(bits: bits(most), least: bits(least))
  }

  /// What each layer adds to the loss in each format; layers that nothing was seen of are not among them.
  private func losses(
    _ model: some LanguageModel, _ layers: [(path: String, weight: Parameter)], _ gradients: LossGradients,
    _ windows: [[Int32]], on backend: any Backend, pool: PagePool
  ) throws -> [String: [DType: Double]] {
    let moments = InputMoments()
    let watched = model.watched(layers.map(\.path), by: moments.observer)
    let weights = Dictionary(uniqueKeysWithValues: layers.map { ($0.path, $0.weight) })
    let rounding = BlockRounding(
      method: quantizer.method == .nearest ? .nearest : .weighted, damping: quantizer.damping)
    var losses: [String: [DType: Double]] = [:]
    let text = try CalibrationText(windows, through: watched, on: backend, pool: pool, report: quantizer.report)
    _ = try text.run(moments, bytes: quantizer.momentBytes) { groups in
      for group in groups {
        guard let inputs = try LayerInputs(group) else { continue }
        let guide = try rounding.guide(inputs, scales: nil)
        for path in group.paths {
          guard let weight = weights[path], let squares = gradients.squares[path] else { continue }
          let values = weight.matrix.0.dequantized()
          for format in Self.formats(forRowsOf: group.width) {
            let rounded = PackedMatrix(packing: rounding(values, as: format, guide)).dequantized()
            let energies = try inputs.rowEnergies(of: values - rounded)
            losses[path, default: [:]][format] = zip(energies, squares).reduce(0) { $0 + Double($1.0 * $1.1) } / 2
          }
        }
      }
    }
    return losses
  }

  private static func formats(forRowsOf depth: Int) -> [DType] {
    BlockFormat.allCases.map(\.dtype).filter { depth % $0.blockElements == 0 }
  }

  private func choices(
    for part: [(path: String, weight: Parameter)], _ losses: [String: [DType: Double]]
  ) -> [PrecisionAssignment.Choice] {
    let count = part.reduce(0) { $0 + $1.weight.shape.elementCount }
    let depth = part[0].weight.shape[1]
    guard part.allSatisfy({ losses[$0.path] != nil }) else {
      let format = quantizer.format(forRowsOf: depth)
      return [.init(format, bytes: format.byteCount(of: count), loss: 0)]
    }
    return Self.formats(forRowsOf: depth).map { format in
      .init(
        format, bytes: format.byteCount(of: count), loss: part.reduce(0) { $0 + (losses[$1.path]?[format] ?? 0) })
    }
  }
}

extension PrecisionPlan.Budget {
  /// The same in bytes of so many weights, or nats a token.
  fileprivate func limit(weightCount: Int) -> PrecisionAssignment.Budget {
    switch self {
    case .bits(let bits): .bytes(Int(bits / 8 * Double(weightCount)))
    case .bytes(let bytes): .bytes(bytes)
    case .loss(let share): .loss(log(1 + share))
    }
  }
}
