public import AngelCheckpoint
public import AngelCore
public import AngelMemory
public import AngelModels
import AngelNN
public import AngelTensor

/// Rounds the linear layers of a language model to blocks of few bits, by what the layers are given on a text.
///
/// Layers are calibrated a few at a time, first to last, and later ones see what the earlier ones have become. The output head
/// and the embedding are left to the conversion; experts, whose inputs nothing watches, go to the nearest. Where inputs are scaled,
/// what makes them takes up the rest.
public struct Quantizer {
  public var method = RoundingMethod.weighted
  /// How inputs are scaled before; nil: they stay. Only with a text, and for families that say where it can be done.
  public var scaling: ChannelScaling?
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
    /// The same when each value goes to the nearest, and inputs are not scaled.
    public let nearestError: Double
    /// The power that its inputs were scaled with; nil: they were not.
    public var exponent: Double?
    /// With `ChannelScaling.smooth`: of products in which inputs are rounded to int8 too the share that is wrong, and that it
    /// was without scaling.
    public var productErrors: (scaled: Double, plain: Double)?
  }

  /// Parameters made anew by path, and a row about each matrix.
  public struct Result: Sendable {
    public var encoded: [String: EncodedParameter] = [:]
    public var layers: [Layer] = []
    public var passes = 0
  }

  /// Rounds `model`, whose weights are replaced by what they become.
  ///
  /// - Parameter windows: tokens of a text, each window run from an empty context; none with `nearest` and no scaling.
  public func quantize<Model: LanguageModel>(
    _ model: Model, windows: [[Int32]], on backend: any Backend, pool: PagePool
  ) throws -> Result {
    let moments = InputMoments(keepsMagnitudes: scaling != nil)
    var watched = model
    let layers = watch(&watched, moments)
    var folds: [FoldingPlan.Fold] = []
    if scaling != nil {
      guard let plan = Model.foldingPlan else { throw QuantizerError.cannotScale(family: "\(Model.self)") }
      folds = plan.folds(of: layers.map(\.path))
    }
    var run = QuantizerRun(
      self, model, layers, FoldedScales(folds, headSize: model.configuration.cacheGeometry.headSize))
    if method != .nearest || scaling != nil {
      try run.calibrate(moments, Self.engine(for: watched, windows, on: backend, pool: pool), windows)
    }
    try run.roundTheRest()
    return run.result
  }

  /// The layers to be rounded, in the order of the model, and each told to show its inputs.
  private func watch<Model: LanguageModel>(
    _ model: inout Model, _ moments: InputMoments
  ) -> [(path: String, weight: Parameter)] {
    var layers: [(path: String, weight: Parameter)] = []
    let head = (model as? any LinearHeadModel)?.outputHead.weight
    model.visitLinearLayers { path, linear in
      guard linear.weight !== head, linear.weight.role == .matrix, linear.weight.shape[1] % format.blockElements == 0
      else { return }
      linear.observer = moments.observer(for: path)
      layers.append((path, linear.weight))
    }
    return layers
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
}

/// Why a model cannot be rounded as asked.
public enum QuantizerError: DescribedError, Equatable {
  case noText
  case cannotScale(family: String)

  public var description: String {
    switch self {
    case .noText: "calibration needs a text of at least one window of tokens"
    case .cannotScale(let family):
      "models of the family '\(family)' do not say where inputs of their layers can be scaled: choose weighted or gptq"
    }
  }
}
