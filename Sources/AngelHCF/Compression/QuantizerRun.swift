import AngelCheckpoint
import AngelCore
import AngelModels
import AngelNN
import AngelTensor

/// One model on its way through a `Quantizer`.
struct QuantizerRun {
  private let quantizer: Quantizer
  private let rounding: BlockRounding
  /// The weights of the layers to be rounded.
  private let layers: [(path: String, weight: Parameter)]
  private let weights: [String: Parameter]
  /// Norms and biases, which take up what inputs are divided by.
  private let vectors: [String: Parameter]
  private var scales: FoldedScales
  private(set) var result = Quantizer.Result()

  init(
    _ quantizer: Quantizer, _ model: some LanguageModel, _ layers: [(path: String, weight: Parameter)],
    _ scales: FoldedScales
  ) {
    self.quantizer = quantizer
    rounding = BlockRounding(method: quantizer.method, damping: quantizer.damping)
    self.layers = layers
    weights = Dictionary(uniqueKeysWithValues: layers.map { ($0.path, $0.weight) })
    vectors = Dictionary(
      uniqueKeysWithValues: model.parameterShapes().filter { $0.parameter.role == .vector }.map {
        ($0.path, $0.parameter)
      })
    self.scales = scales
  }

  /// Rounds the layers that a run of the windows meets, as many in a pass as there is room for moments.
  mutating func calibrate(_ moments: InputMoments, _ engine: InferenceEngine, _ windows: [[Int32]]) throws {
    // One token shows which layers share their inputs.
    try engine.append(Array(windows[0].prefix(1)), to: engine.makeSequence())
    let passes = passes(moments.groups)
    result.passes = passes.count
    let total = passes.count * windows.reduce(0) { $0 + $1.count }
    var done = 0
    for pass in passes {
      moments.collect(pass)
      for window in windows {
        try engine.append(window, to: engine.makeSequence())
        done += window.count
        try quantizer.report(done, total)
      }
      // All scales of the pass before any rounding: a layer's rows are divided by what columns of a later one are multiplied by.
      for group in moments.groups[pass] { try findScales(group) }
      for group in moments.groups[pass] { try round(group) }
    }
    moments.collect(0..<0)
  }

  /// Layers that nothing was seen of go to the nearest.
  mutating func roundTheRest() throws {
    let done = Set(result.layers.map(\.path))
    for (path, weight) in layers where !done.contains(path) {
      let values = weight.matrix.0.dequantized()
      let nearest = rounding(values, as: quantizer.format, nil)
      let whole = try LayerInputs.sum(values.squared())
      let lost = try LayerInputs.sum((values - PackedMatrix(packing: nearest).dequantized()).squared())
      let error = whole > 0 ? lost / whole : 0
      result.layers.append(
        .init(path: path, shape: values.shape, isCalibrated: false, error: error, nearestError: error))
      try keep(nearest, path, weight)
    }
  }

  /// Groups as they are seen in one pass each; a layer whose rows are scaled comes with those that read it.
  private func passes(_ groups: [InputMoments.Group]) -> [Range<Int>] {
    var place: [String: Int] = [:]
    for (index, group) in groups.enumerated() { for path in group.paths { place[path] = index } }
    var isJoined = [Bool](repeating: false, count: groups.count)
    for fold in scales.folds {
      guard let maker = fold.madeByLayer.flatMap({ place[$0] }), let reader = place[fold.layers[0]] else { continue }
      for index in groups.indices where index > min(maker, reader) && index <= max(maker, reader) {
        isJoined[index] = true
      }
    }
    let starts = groups.indices.filter { !isJoined[$0] } + [groups.count]
    let sizes = zip(starts, starts.dropFirst()).map { range in
      groups[range.0..<range.1].reduce(0) { $0 + $1.width * $1.width * 4 }
    }
    return ShardPlan.ranges(of: sizes, limit: quantizer.momentBytes).map {
      starts[$0.lowerBound]..<starts[$0.upperBound]
    }
  }

  /// The scales of the fold whose layers a group has.
  private mutating func findScales(_ group: InputMoments.Group) throws {
    guard let scaling = quantizer.scaling,
      let fold = scales.folds.first(where: { Set($0.layers).isSubset(of: group.paths) }),
      let inputs = try LayerInputs(group)
    else { return }
    let makerCount = fold.madeByLayer.flatMap { weights[$0]?.shape[0] } ?? group.width
    let channels = scales.channels(of: fold, inputCount: group.width, makerCount: makerCount)
    let search = ScaleSearch(
      scaling: scaling, rounding: rounding, format: quantizer.format, inputs: inputs,
      channels: channels.map { ($0, makerCount) })
    scales[fold] = try search.best(for: fold.layers.compactMap { weights[$0]?.matrix.0.dequantized() })
    guard let norm = fold.norm, let own = scales[fold] else { return }
    for vector in [norm + ".weight", norm + ".bias"] { try divide(vector, by: own.values) }
  }

  private mutating func round(_ group: InputMoments.Group) throws {
    guard let inputs = try LayerInputs(group) else { return }
    let scales = scales.inputs(of: group.paths[0])
    let guide = try rounding.guide(inputs, scales: scales?.ofInputs)
    for path in group.paths {
      guard let weight = weights[path] else { continue }
      try round(path, weight, inputs, guide, scales)
    }
  }

  private mutating func round(
    _ path: String, _ weight: Parameter, _ inputs: LayerInputs, _ guide: BlockRounding.Guide,
    _ scales: FoldedScales.Scales?
  ) throws {
    let (format, backend) = (quantizer.format, inputs.moments.backend)
    let values = weight.matrix.0.dequantized()
    let columns = scales.map { Tensor($0.ofInputs, on: backend) }
    let rows = self.scales.outputs(of: path).map { Tensor($0, on: backend).reshaped($0.count, 1) }
    let scaled = columns.map { values * $0 } ?? values
    let chosen = rounding(rows.map { scaled / $0 } ?? scaled, as: format, guide)
    let packed = PackedMatrix(packing: chosen)
    var back = packed.dequantized()
    if let columns { back = back / columns }
    if let rows { back = back * rows }
    let nearest = PackedMatrix(packing: rounding(values, as: format, nil))
    let whole = try inputs.energy(of: values)
    func share(_ rounded: Tensor) throws -> Double { whole > 0 ? try inputs.energy(of: values - rounded) / whole : 0 }
    var layer = Quantizer.Layer(
      path: path, shape: values.shape, isCalibrated: true, error: try share(back),
      nearestError: try share(nearest.dequantized()), exponent: scales?.exponent)
    if case .smooth = quantizer.scaling,
      let scaledError = try inputs.roundedProductError(rows.map { values / $0 } ?? values, packed, divisor: columns),
      let plain = try inputs.roundedProductError(values, nearest, divisor: nil)
    {
      layer.productErrors = (scaledError, plain)
    }
    result.layers.append(layer)
    try keep(chosen, path, weight)
    if let divisor = self.scales.outputs(of: path) { try divide(path + ".bias", by: divisor) }
  }

  /// Puts a rounded matrix into the model and the result.
  private mutating func keep(_ encoded: Tensor, _ path: String, _ weight: Parameter) throws {
    result.encoded[path + ".weight"] = EncodedParameter(
      dtype: encoded.dtype, shape: encoded.shape, bytes: try encoded.withHostBytes(Array.init))
    weight.value = .matrix(PackedMatrix(packing: encoded), weight.matrix.1)
  }

  /// Divides a vector of the model, where it has one of this path.
  private mutating func divide(_ path: String, by scales: [Float]) throws {
    guard let parameter = vectors[path] else { return }
    let divided = parameter.vector / Tensor(scales, on: parameter.vector.backend)
    parameter.value = .vector(divided)
    result.encoded[path] = EncodedParameter(
      dtype: .float32, shape: divided.shape, bytes: try divided.withHostBytes(Array.init))
  }
}
