public import AngelCheckpoint
public import AngelCore
public import AngelMemory
public import AngelModels
import AngelNN
public import AngelTensor

/// Rounds the linear layers of a language model to blocks of few bits, by what the layers are given on a text.
///
/// Layers are calibrated a few at a time, first to last, and later ones see what the earlier ones have become. The output head
/// and the embedding are left to the conversion; experts, whose inputs nothing watches, go to the nearest.
public struct Quantizer {
  public var method = RoundingMethod.weighted
  /// One of the formats that values can be rounded to: q4_0, q4_1, q5_0, q5_1, q8_0.
  public var format = DType.q4_0
  /// GPTQ: what is added to each moment of the diagonal, as a share of it.
  public var damping = 0.01
  /// Bytes of moments kept at once; fewer bytes are more passes over the text.
  public var momentBytes = 256 << 20
  /// Called with tokens run and in all.
  public var report: (_ done: Int, _ inAll: Int) throws -> Void = { _, _ in }

  public init() {}

  /// What became of one layer.
  public struct Layer: Sendable {
    public let path: String
    /// [outputs, inputs]
    public let shape: Shape
    /// Whether it was seen at work; experts are not, and go to the nearest.
    public let isCalibrated: Bool
    /// ‖(W - Ŵ) X‖² / ‖W X‖² over the inputs X of the text; over unit inputs where there was none.
    public let error: Double
    /// The same when each value goes to the nearest.
    public let nearestError: Double
  }

  /// Rounded matrices by parameter path, and a row about each.
  public struct Result: Sendable {
    public var encoded: [String: EncodedMatrix] = [:]
    public var layers: [Layer] = []
    public var passes = 0
  }

  /// Rounds `model`, whose weights are replaced by what they become.
  ///
  /// - Parameter windows: tokens of a text, each window run from an empty context; none with `nearest`.
  public func quantize(
    _ model: any LanguageModel, windows: [[Int32]], on backend: any Backend, pool: PagePool
  ) throws -> Result {
    let moments = InputMoments()
    var watched = model
    var parameters: [(path: String, parameter: Parameter)] = []
    let head = (model as? any LinearHeadModel)?.outputHead.weight
    watched.visitLinearLayers { path, linear in
      guard linear.weight !== head, linear.weight.role == .matrix, linear.weight.shape[1] % format.blockElements == 0
      else { return }
      linear.observer = moments.observer(for: path)
      parameters.append((path, linear.weight))
    }
    var result = Result()
    if method != .nearest {
      let engine = try Self.engine(for: watched, windows, on: backend, pool: pool)
      try calibrate(Dictionary(uniqueKeysWithValues: parameters), moments, engine, windows, into: &result)
    }
    let calibrated = Set(result.layers.map(\.path))
    for (path, parameter) in parameters where !calibrated.contains(path) {
      try round(path, parameter, nil, into: &result)
    }
    return result
  }

  /// Rounds the layers that a run of the windows meets, as many in a pass as `momentBytes` has room for.
  private func calibrate(
    _ parameters: [String: Parameter], _ moments: InputMoments, _ engine: InferenceEngine, _ windows: [[Int32]],
    into result: inout Result
  ) throws {
    // One token shows which layers share their inputs.
    try engine.append(Array(windows[0].prefix(1)), to: engine.makeSequence())
    let passes = ShardPlan.ranges(of: moments.groups.map { $0.width * $0.width * 4 }, limit: momentBytes)
    result.passes = passes.count
    let total = passes.count * windows.reduce(0) { $0 + $1.count }
    var done = 0
    for pass in passes {
      moments.collect(pass)
      for window in windows {
        try engine.append(window, to: engine.makeSequence())
        done += window.count
        try report(done, total)
      }
      for group in moments.groups[pass] {
        guard let inputs = try Inputs(group, damping: method == .gptq ? damping : nil) else { continue }
        for path in group.paths {
          guard let parameter = parameters[path] else { continue }
          try round(path, parameter, inputs, into: &result)
        }
      }
    }
    moments.collect(0..<0)
  }

  private static func engine(
    for model: any LanguageModel, _ windows: [[Int32]], on backend: any Backend, pool: PagePool
  ) throws -> InferenceEngine {
    let longest = windows.map(\.count).max() ?? 0
    guard longest > 0 else { throw QuantizerError.noText }
    var options = EngineOptions()
    options.contextLength = longest
    options.cacheDType = .float32
    return try InferenceEngine(model, on: backend, pool: pool, options: options)
  }

  /// What a group of layers was given.
  private struct Inputs {
    /// The mean of x xᵀ, [K, K].
    let moments: Tensor
    /// The mean square of each input, [K].
    let importance: Tensor
    /// GPTQ's, for columns in descending importance.
    let spreading: (factor: Tensor, order: Tensor)?

    init?(_ group: InputMoments.Group, damping: Double?) throws {
      guard let sum = group.sum, group.rowCount > 0 else { return nil }
      let width = group.width
      let mean = sum / Double(group.rowCount)
      let values: [Float] = try mean.read()
      let squares = (0..<width).map { values[$0 * width + $0] }
      importance = Tensor(squares, on: mean.backend)
      spreading = damping.map { damping in
        let order = Tensor(
          (0..<Int32(width)).sorted { (squares[Int($1)], $0) < (squares[Int($0)], $1) }, on: mean.backend)
        return (mean.inverseFactor(order: order, damping: damping), order)
      }
      moments = mean
    }
  }

  private func round(
    _ path: String, _ parameter: Parameter, _ inputs: Inputs?, into result: inout Result
  ) throws {
    let values = parameter.matrix.0.dequantized()
    let nearest = values.encodedRows(as: format)
    let chosen =
      switch (method, inputs) {
      case (.nearest, _), (_, nil): nearest
      case (.weighted, let inputs?): values.fittedRows(as: format, importance: inputs.importance)
      case (.gptq, let inputs?):
        values.fittedRows(as: format, importance: inputs.importance, spreading: inputs.spreading)
      }
    let packed = PackedMatrix(packing: chosen)
    let whole = try Self.energy(values, inputs)
    func error(_ rounded: PackedMatrix) throws -> Double {
      whole > 0 ? try Self.energy(values - rounded.dequantized(), inputs) / whole : 0
    }
    let nearestError = try error(PackedMatrix(packing: nearest))
    result.layers.append(
      Layer(
        path: path, shape: values.shape, isCalibrated: inputs != nil,
        error: inputs == nil ? nearestError : try error(packed), nearestError: nearestError))
    result.encoded[path + ".weight"] = EncodedMatrix(
      dtype: format, shape: values.shape, bytes: try chosen.withHostBytes(Array.init))
    parameter.value = .matrix(packed, parameter.matrix.1)
  }

  /// ‖M X‖², over unit inputs where none were seen.
  private static func energy(_ matrix: Tensor, _ inputs: Inputs?) throws -> Double {
    let images = inputs.map { DenseProduct()(matrix, $0.moments) } ?? matrix
    return Double(try (matrix * images).sum().read(as: Float.self)[0])
  }
}

/// Why a model cannot be rounded as asked.
public enum QuantizerError: DescribedError, Equatable {
  case noText

  public var description: String {
    switch self {
    case .noText: "calibration needs a text of at least one window of tokens"
    }
  }
}
