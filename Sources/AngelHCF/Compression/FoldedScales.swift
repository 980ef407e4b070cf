import AngelNN
import AngelTensor

/// The scales found for the folds of a model, and where they go.
struct FoldedScales {
  typealias Fold = FoldingPlan.Fold

  /// A fold's scales: one for each channel that is made.
  struct Scales {
    let values: [Float]
    /// The power that they were made with.
    let exponent: Double
    /// For each input the channel that it is of; nil: they are the same. Heads that share their values share the scales.
    let channels: [Int]?

    /// What each input is divided by.
    var ofInputs: [Float] { channels.map { $0.map { values[$0] } } ?? values }
  }

  let folds: [Fold]
  private let headSize: Int
  private var found: [Fold: Scales] = [:]
  private var foldOfLayer: [String: Fold] = [:]
  private var foldOfMaker: [String: Fold] = [:]

  init(_ folds: [Fold], headSize: Int) {
    self.folds = folds
    self.headSize = headSize
    for fold in folds {
      for layer in fold.layers { foldOfLayer[layer] = fold }
      if let maker = fold.madeByLayer { foldOfMaker[maker] = fold }
    }
  }

  subscript(fold: Fold) -> Scales? {
    get { found[fold] }
    set { found[fold] = newValue }
  }

  /// The scales that the inputs of a layer are divided by.
  func inputs(of layer: String) -> Scales? { foldOfLayer[layer].flatMap { found[$0] } }

  /// What the outputs of a layer are divided by, nil where nothing is.
  func outputs(of layer: String) -> [Float]? { foldOfMaker[layer].flatMap { found[$0]?.values } }

  /// For each of `inputCount` inputs of a fold the one of `makerCount` channels that it is of; nil: the same.
  func channels(of fold: Fold, inputCount: Int, makerCount: Int) -> [Int]? {
    guard case .values = fold.maker, makerCount < inputCount else { return nil }
    let sharing = inputCount / makerCount
    return (0..<inputCount).map { $0 / headSize / sharing * headSize + $0 % headSize }
  }
}

extension FoldingPlan.Fold {
  /// The linear layer whose outputs are scaled; nil: a norm's are.
  var madeByLayer: String? {
    switch maker {
    case .norm: nil
    case .outputs(let path), .values(let path): path
    }
  }

  /// The norm whose outputs are scaled.
  var norm: String? {
    if case .norm(let path) = maker { path } else { nil }
  }
}
