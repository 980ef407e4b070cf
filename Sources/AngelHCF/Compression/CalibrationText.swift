import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor

extension Module {
  /// The same model, those of its linear layers that `paths` names each with an observer.
  func watched(_ paths: [String], by observer: (String) -> any LayerObserver) -> Self {
    let wanted = Set(paths)
    var copy = self
    copy.visitLinearLayers { path, linear in
      if wanted.contains(path) { linear.observer = observer(path) }
    }
    return copy
  }
}

/// Windows of a text, run through a model whose layers show their inputs.
struct CalibrationText {
  let windows: [[Int32]]
  private let engine: InferenceEngine
  /// Called with tokens run and in all.
  private let report: (_ done: Int, _ inAll: Int) throws -> Void

  init(
    _ windows: [[Int32]], through model: any LanguageModel, on backend: any Backend, pool: PagePool,
    report: @escaping (_ done: Int, _ inAll: Int) throws -> Void
  ) throws {
    let longest = windows.map(\.count).max() ?? 0
    guard longest > 0 else { throw QuantizerError.noText }
    var options = EngineOptions()
    options.contextLength = longest
    options.cacheDType = .float32
    engine = try InferenceEngine(model, on: backend, pool: pool, options: options)
    self.windows = windows
    self.report = report
  }

  /// Runs the text once for each range of groups that there is room for, and calls `body` with the groups whose moments it has
  /// then; the number of passes.
  ///
  /// - Parameter folds: where inputs are scaled. A layer whose rows are scaled comes in the pass of those that read it.
  func run(
    _ moments: InputMoments, bytes: Int, keepingTogether folds: [FoldedScales.Fold] = [],
    _ body: ([InputMoments.Group]) throws -> Void
  ) throws -> Int {
    // One token shows which layers share their inputs.
    try engine.append(Array(windows[0].prefix(1)), to: engine.makeSequence())
    let passes = Self.passes(moments.groups, bytes: bytes, folds)
    let total = passes.count * windows.reduce(0) { $0 + $1.count }
    var done = 0
    for pass in passes {
      moments.collect(pass)
      for window in windows {
        try engine.append(window, to: engine.makeSequence())
        done += window.count
        try report(done, total)
      }
      try body(Array(moments.groups[pass]))
    }
    moments.collect(0..<0)
    return passes.count
  }

  private static func passes(
    _ groups: [InputMoments.Group], bytes: Int, _ folds: [FoldedScales.Fold]
  ) -> [Range<Int>] {
    var place: [String: Int] = [:]
    for (index, group) in groups.enumerated() { for path in group.paths { place[path] = index } }
    var isJoined = [Bool](repeating: false, count: groups.count)
    for fold in folds {
      guard let maker = fold.madeByLayer.flatMap({ place[$0] }), let reader = place[fold.layers[0]] else { continue }
      for index in groups.indices where index > min(maker, reader) && index <= max(maker, reader) {
        isJoined[index] = true
      }
    }
    let starts = groups.indices.filter { !isJoined[$0] } + [groups.count]
    let sizes = zip(starts, starts.dropFirst()).map { range in
      groups[range.0..<range.1].reduce(0) { $0 + $1.width * $1.width * 4 }
    }
    return ShardPlan.ranges(of: sizes, limit: bytes).map { starts[$0.lowerBound]..<starts[$0.upperBound] }
  }
}
