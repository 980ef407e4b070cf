public import AngelCheckpoint
public import AngelCore
public import AngelModels
public import AngelNN
public import AngelTensor

/// Puts low-rank adapters into a model, and takes them out again.
public enum Adapters {
  /// Gives every targeted layer of a frozen `model` an adapter whose A is random and whose B is zero.
  ///
  /// - Returns: the adapted layers' paths. Throws when a target names no layer.
  public static func attach(
    _ configuration: LoRAConfiguration, to model: inout some LanguageModel, names: NameTable, seed: UInt64,
    on backend: any Backend
  ) throws -> [String] {
    let targets = try targets(configuration, in: model, names: names).map(\.path)
    model.visitLinearLayers { path, linear in
      guard let place = targets.firstIndex(of: path) else { return }
      let (outputs, inputs, rank) = (linear.weight.shape[0], linear.weight.shape[1], configuration.shape.rank)
      var adapter = LowRankAdapter(
        inputs, outputs, rank: rank, scale: configuration.shape.scale, tokenShare: linear.weight.tokenShare)
      // The range of Kaiming's uniform with a = √5, as the reference begins: ±1 / √inputs.
      adapter.down.value = .trained(
        .uniform(
          [rank, inputs], limit: 1 / Float(inputs).squareRoot(), seed: seed, stream: UInt64(place) &+ 1 << 32,
          on: backend))
      adapter.up.value = .trained(
        Tensor(
          [Float](repeating: 0, count: outputs * rank), shape: [outputs, rank], on: backend, kind: .weights))
      if configuration.shape.dora { adapter.addMagnitude(of: linear.weight.denseValues) }
      linear.adapter = adapter
    }
    return targets
  }

  /// Holds every linear layer of `model` whose values are dense constants in a block format, or, where rows are no whole blocks
  /// of 256, in the one of 32 that stands in for it; layers whose rows are no whole blocks of 32 stay.
  public static func quantize(_ model: inout some Module, to format: BlockFormat) {
    model.visitLinearLayers { _, linear in
      guard linear.weight.role == .matrix, case .matrix(let matrix, let arithmetic) = linear.weight.value,
        !matrix.dtype.isQuantized
      else { return }
      let type = format.format(forRowsOf: matrix.depth).dtype
      guard matrix.depth % type.blockElements == 0 else { return }
      linear.weight.value = .matrix(matrix.encoded(as: type), arithmetic)
    }
  }

  /// The paths and shapes of the layers that a configuration names; throws when a target names none.
  static func targets(
    _ configuration: LoRAConfiguration, in model: some LanguageModel, names table: NameTable
  ) throws -> [(path: String, shape: Shape)] {
    var adapted: [(path: String, shape: Shape)] = []
    let names = configuration.shape.targets
    var unused = Set(names)
    var copy = model
    copy.visitLinearLayers { path, linear in
      guard let target = target(of: path, in: names, table) else { return }
      unused.remove(target)
      adapted.append((path, linear.weight.shape))
    }
    // Found before the training, not when its result is to be written.
    if let nameless = adapted.first(where: { PEFTFolder.name(of: $0.path, table) == nil }) {
      throw PTMError.recipe(
        "lora.targets names \(nameless.path), which releases store transposed or joined with others: adapter files cannot "
          + "name it; choose other layers or train without lora")
    }
    if let problem = AdapterPlacement.problem(adapted.map(\.path), dora: configuration.shape.dora, in: model) {
      throw PTMError.recipe("lora.targets: \(problem)")
    }
    guard let first = unused.sorted().first else { return adapted }
    throw PTMError.recipe("lora.targets names \(quoted(first)), but no linear layer of the model is called so")
  }

  /// Adds every adapter to its layer's weight, in float32, and removes it.
  public static func merge(into model: inout some Module) {
    model.visitLinearLayers { _, linear in
      guard let adapter = linear.adapter else { return }
      linear.weight.value = .trained(adapter.merged(into: linear.weight.denseValues).copied())
      linear.adapter = nil
    }
  }

  /// The target that names the layer at `path`.
  private static func target(of path: String, in targets: [String], _ names: NameTable) -> String? {
    let name = names.tensor(forParameter: path + ".weight", in: .huggingFace)?.name ?? ""
    let layer = name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
    return targets.first { target in
      layer == target || layer.hasSuffix("." + target) || path == target || path.hasSuffix("." + target)
    }
  }
}
