import AngelCheckpoint
import AngelCore
import AngelModels
import AngelNN
import AngelTensor

/// One model on its way through a `Quantizer`.
struct QuantizerRun {
  private let quantizer: Quantizer
  private let rounding: BlockRounding
  private let plan: PrecisionPlan?
  /// The weights of the layers to be rounded.
  private let layers: [(path: String, weight: Parameter)]
  private let weights: [String: Parameter]
  /// Norms and biases, which take up what inputs are divided by.
  private let vectors: [String: Parameter]
  private var scales: FoldedScales
  private(set) var result = Quantizer.Result()

  init(
    _ quantizer: Quantizer, _ model: some LanguageModel, _ layers: [(path: String, weight: Parameter)],
    _ plan: PrecisionPlan?, _ scales: FoldedScales
  ) {
    self.quantizer = quantizer
    self.plan = plan
    result.plan = plan
    rounding = BlockRounding(method: quantizer.method, damping: quantizer.damping)
    self.layers = layers
    weights = Dictionary(uniqueKeysWithValues: layers.map { ($0.path, $0.weight) })
    vectors = Dictionary(
      uniqueKeysWithValues: model.parameterShapes().filter { $0.parameter.role == .vector }.map {
        ($0.path, $0.parameter)
      })
    self.scales = scales
  }

  /// Rounds the layers that a run of the text meets.
  mutating func calibrate(_ moments: InputMoments, _ text: CalibrationText) throws {
    let folds = scales.folds
    result.passes = try text.run(moments, bytes: quantizer.momentBytes, keepingTogether: folds) { groups in
      // All scales before any rounding: a layer's rows are divided by what columns of a later one are multiplied by.
      for group in groups { try findScales(group) }
      for group in groups { try round(group) }
    }
  }

  /// Layers that nothing was seen of go to the nearest.
  mutating func roundTheRest() throws {
    let done = Set(result.layers.map(\.path))
    for (path, weight) in layers where !done.contains(path) {
      let values = weight.matrix.0.dequantized()
      let format = format(of: path, values.shape)
      let nearest = rounding(quantizer.pruning?(values, nil) ?? values, as: format, nil)
      let whole = try LayerInputs.sum(values.squared())
      let lost = try LayerInputs.sum((values - PackedMatrix(packing: nearest).dequantized()).squared())
      let error = whole > 0 ? lost / whole : 0
      result.layers.append(
        .init(path: path, shape: values.shape, format: format, isCalibrated: false, error: error, nearestError: error))
      try keep(nearest, path, weight)
    }
  }

  /// The scales of the fold whose layers a group has.
  private mutating func findScales(_ group: InputMoments.Group) throws {
    guard let scaling = quantizer.scaling,
      // Who else reads the same would be given what is not meant for it.
      let fold = scales.folds.first(where: { Set($0.layers) == Set(group.paths) }),
      let inputs = try LayerInputs(group)
    else { return }
    let own = fold.layers.compactMap { path in weights[path].map { (path: path, weight: $0) } }
    let makerCount = fold.madeByLayer.flatMap { weights[$0]?.shape[0] } ?? group.width
    let channels = scales.channels(of: fold, inputCount: group.width, makerCount: makerCount)
    // GPTQ's inverse would have to be found for every exponent.
    let search = ScaleSearch(
      scaling: scaling,
      rounding: BlockRounding(
        method: rounding.method == .gptq ? .weighted : rounding.method, damping: rounding.damping),
      formats: own.map { format(of: $0.path, $0.weight.shape) }, inputs: inputs,
      channels: channels.map { ($0, makerCount) })
    scales[fold] = try search.best(for: own.map { $0.weight.matrix.0.dequantized() }, only: quantizer.exponent)
    guard let norm = fold.norm, let found = scales[fold] else { return }
    for vector in [norm + ".weight", norm + ".bias"] { try divide(vector, by: found.values) }
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
    let backend = inputs.moments.backend
    let values = weight.matrix.0.dequantized()
    let format = format(of: path, values.shape)
    let columns = scales.map { Tensor($0.ofInputs, on: backend) }
    let rows = self.scales.outputs(of: path).map { Tensor($0, on: backend).reshaped($0.count, 1) }
    func scaled(_ values: Tensor) -> Tensor {
      let scaled = columns.map { values * $0 } ?? values
      return rows.map { scaled / $0 } ?? scaled
    }
    let kept = quantizer.pruning?(values, inputs)
    let chosen = rounding(scaled(kept ?? values), as: format, guide, whole: kept.map { _ in scaled(values) })
    let packed = PackedMatrix(packing: chosen)
    var back = packed.dequantized()
    if let columns { back = back / columns }
    if let rows { back = back * rows }
    let nearest = PackedMatrix(packing: rounding(kept.map { _ in values.pruned() } ?? values, as: format, nil))
    let whole = try inputs.energy(of: values)
    func share(_ rounded: Tensor) throws -> Double { whole > 0 ? try inputs.energy(of: values - rounded) / whole : 0 }
    var layer = Quantizer.Layer(
      path: path, shape: values.shape, format: format, isCalibrated: true, error: try share(back),
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

  private func format(of path: String, _ shape: Shape) -> DType {
    plan?.formats[path] ?? quantizer.format(forRowsOf: shape[1])
  }

  /// Puts a rounded matrix into the model and the result.
  private mutating func keep(_ encoded: Tensor, _ path: String, _ weight: Parameter) throws {
    result.encoded[path + ".weight"] = EncodedParameter(
      dtype: encoded.dtype, shape: encoded.shape, bytes: try encoded.withHostBytes(Array.init),
      isTwoOfFour: quantizer.pruning != nil)
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
