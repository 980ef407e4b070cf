public import AngelCheckpoint
public import AngelCore
public import AngelMemory
public import AngelModels
import AngelNN
public import AngelTensor
import Glibc

/// Rounds the linear layers of a language model to blocks of few bits, by what the layers are given on a text.
///
/// Layers are calibrated a few at a time, first to last, and later ones see what the earlier ones have become. The output head
/// and the embedding are left to the conversion; experts, whose inputs nothing watches, go to the nearest. Where inputs are scaled,
/// what makes them takes up the rest.
public struct Quantizer {
  public var method = RoundingMethod.weighted
  /// How inputs are scaled before; nil: they stay. Only with a text, and for families that say where it can be done.
  public var scaling: ChannelScaling?
  /// The power that all inputs are scaled with; nil: each the one that is best.
  public var exponent: Double?
  /// Which weights become zero before the rest is rounded; nil: none. Only for formats that have a 2:4 form in memory, and for
  /// models without experts, whose inputs nothing watches.
  public var pruning: PruningMethod?
  /// What values are rounded to, a `BlockFormat`'s or bfloat16: where rows are no whole blocks of it, what stands in its place.
  public var format = DType.q4_0
  /// What formats are chosen by, layer by layer; nil: all are of `format`, as layers are that no text shows at work.
  public var budget: PrecisionPlan.Budget?
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
    public let format: DType
    /// Whether it was seen at work; experts are not, and go to the nearest.
    public let isCalibrated: Bool
    /// ‖(W - Ŵ) X‖² / ‖W X‖² over the inputs X of the text; over unit inputs where there was none.
    public let error: Double
    /// The same when each value goes to the nearest, inputs are not scaled, and magnitudes decide what becomes zero.
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
    /// How formats were chosen, where there was a budget.
    public var plan: PrecisionPlan?
  }

  /// Rounds `model`, whose weights are replaced by what they become.
  ///
  /// - Parameter windows: tokens of a text, each window run from an empty context; none with `nearest` and no scaling.
  public func quantize<Model: LanguageModel>(
    _ model: Model, windows: [[Int32]], on backend: any Backend, pool: PagePool
  ) throws -> Result {
    let layers = layers(of: model)
    if pruning != nil { try checkPruning(layers) }
    var folds: [FoldingPlan.Fold] = []
    if scaling != nil {
      guard let plan = Model.foldingPlan else { throw QuantizerError.cannotScale(family: "\(Model.self)") }
      folds = plan.folds(of: layers.map(\.path))
    }
    let plan = try budget.map {
      try PrecisionPlanner(quantizer: self, budget: $0).plan(model, layers, windows, on: backend, pool: pool)
    }
    var run = QuantizerRun(
      self, model, layers, plan, FoldedScales(folds, headSize: model.configuration.cacheGeometry.headSize))
    if method != .nearest || scaling != nil || pruning == .wanda {
      let moments = InputMoments(keepsMagnitudes: scaling != nil)
      let watched = model.watched(layers.map(\.path), by: moments.observer)
      let text = try CalibrationText(windows, through: watched, on: backend, pool: pool, report: report)
      try run.calibrate(moments, text)
    }
    try run.roundTheRest()
    return run.result
  }

  /// The layers to be rounded, in the order of the model.
  private func layers(of model: some LanguageModel) -> [(path: String, weight: Parameter)] {
    var layers: [(path: String, weight: Parameter)] = []
    var copy = model
    let head = (model as? any LinearHeadModel)?.outputHead.weight
    copy.visitLinearLayers { path, linear in
      let (weight, depth) = (linear.weight, linear.weight.shape[1])
      guard weight !== head, weight.role == .matrix, depth % format(forRowsOf: depth).blockElements == 0 else {
        return
      }
      layers.append((path, weight))
    }
    return layers
  }

  /// Throws where zeros would be of no use, or could not be chosen.
  private func checkPruning(_ layers: [(path: String, weight: Parameter)]) throws(QuantizerError) {
    guard format.twoOfFour != nil, budget == nil else { throw .cannotHoldPruned(format) }
    guard method != .gptq || format.isQuantized else { throw .nothingToPassOn(format) }
    for (path, weight) in layers {
      guard !path.contains(".experts.") else { throw .cannotPrune(path, "experts, whose inputs nothing watches") }
      let width = weight.shape[1]
      guard width % (format.twoOfFour?.blockElements ?? 32) == 0 else {
        throw .cannotPrune(path, "its \(width) inputs are no multiple of 32")
      }
    }
  }

  /// The bytes of all that is not rounded, in a file whose other matrices are of type `matrices`.
  public func byteCount<Model: LanguageModel>(ofOthersIn model: Model, matrices: DType) -> Int {
    let names = Model.names(for: model.configuration)
    let rounded = Set(layers(of: model).map { $0.path + ".weight" })
    return model.parameterShapes().reduce(0) { sum, entry in
      guard !rounded.contains(entry.path) else { return sum }
      let name = names.tensor(forParameter: entry.path, in: .gguf)?.name ?? entry.path
      let isTyped = ConversionPlan.isTyped(entry.parameter.role, named: name)
      let depth = entry.parameter.shape.array.last ?? 1
      // Where rows are no whole blocks, writing says so.
      let type = isTyped && depth % matrices.blockElements == 0 ? matrices : .float32
      return sum + type.byteCount(of: entry.parameter.shape.elementCount)
    }
  }

  /// What a layer is rounded to where no plan says otherwise.
  func format(forRowsOf depth: Int) -> DType {
    BlockFormat(rawValue: format.name)?.format(forRowsOf: depth).dtype ?? format
  }
}

/// Why a model cannot be rounded as asked.
public enum QuantizerError: DescribedError, Equatable {
  case noText
  case cannotScale(family: String)
  case tooSmall(bits: Double, least: Double)
  case losesMore(expected: Double, most: Double)
  case losesUnknown(String)
  case cannotHoldPruned(DType)
  case cannotPrune(String, String)
  case nothingToPassOn(DType)

  public var description: String {
    switch self {
    case .noText: "calibration needs a text of at least one window of tokens"
    case .cannotScale(let family):
      "models of the family '\(family)' do not say where inputs of their layers can be scaled: choose weighted or gptq"
    case .tooSmall(let bits, let least):
      "\(TextFormat.fixed(bits, digits: 2)) bits a weight are too few: the smallest formats that rows fit into take "
        + TextFormat.fixed(least, digits: 2)
    case .losesMore(let expected, let most):
      "with the largest types of all layers the perplexity is expected to grow by \(Self.percent(expected)), which is more than "
        + "\(Self.percent(most)): allow more"
    case .losesUnknown(let path):
      "what '\(path)' loses is not seen, so no loss can be promised: choose types by bits or by size"
    case .cannotHoldPruned(let format):
      "pruning makes zeros of which memory holds nothing in bf16, q4_0 and q8_0 alone, one type for all layers, not in "
        + format.name
    case .cannotPrune(let path, let reason): "'\(path)' cannot be pruned: \(reason)"
    case .nothingToPassOn(let format):
      "gptq makes up for what blocks of few bits lose, and \(format.name) has none: choose q4_0 or q8_0, or nearest"
    }
  }

  /// The share by which the perplexity grows with so many nats a token.
  private static func percent(_ nats: Double) -> String { "\(TextFormat.fixed(100 * (exp(nats) - 1), digits: 3)) %" }
}
