import AngelCheckpoint
import AngelCore
public import AngelNN
public import AngelTensor

extension PEFTFolder {
  /// What becomes of adapters that are read.
  public enum Use: Sendable {
    /// They are trained further.
    case training
    /// They serve as they are, in float32; a magnitude (DoRA) is turned into one factor an output.
    case serving
  }

  /// Puts the folder's adapters beside the layers of `model` that its tensors name; the weights stay as they are held.
  ///
  /// - Returns: how many layers were adapted. Throws when a tensor belongs to no layer or has another shape, so that an
  ///   adapter of another model is never half applied.
  @discardableResult
  public func attach(to model: inout some LanguageModel, for use: Use, on backend: any Backend) throws -> Int {
    let adapters = try read(beside: model, on: backend) { use == .training ? $0 : $0.frozen(beside: $1) }
    model.visitLinearLayers { path, linear in
      if let adapter = adapters[path] { linear.adapter = adapter }
    }
    return adapters.count
  }

  /// The folder's adapters as `bank`, which stands beside `model`, takes them, held in the file's type; throws as `attach`
  /// does, and where a layer cannot have one of several.
  public func matrices(
    beside model: some LanguageModel, for bank: AdapterBank, on backend: any Backend
  ) throws -> [String: LowRankMatrices] {
    let types = Set(file.header.tensors.map(\.dtype))
    let type = types.count == 1 ? types.first ?? nil : nil
    let dtype = type == .bfloat16 || type == .float16 ? type ?? .float32 : .float32
    return try read(beside: model, on: backend, allows: bank.has) { adapter, weight in
      try adapter.matrices(beside: weight, dtype: dtype)
    }
  }

  /// The adapters of the layers that the folder's tensors name, by the paths of these.
  ///
  /// - Parameters:
  ///   - allows: whether a layer may have one.
  ///   - make: turns an adapter as it is trained into what is wanted, given the weight beside it where there is DoRA.
  private func read<Result>(
    beside model: some LanguageModel, on backend: any Backend, allows: (String) -> Bool = { _ in true },
    make: (LowRankAdapter, Tensor?) throws -> Result
  ) throws -> [String: Result] {
    var tensors = Dictionary(file.header.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let names = type(of: model).names(for: model.configuration)
    var results: [String: Result] = [:]
    var failure: (any Error)?
    var model = model
    model.visitLinearLayers { path, linear in
      guard failure == nil, let name = Self.name(of: path, names), tensors[name + ".lora_A.weight"] != nil else {
        return
      }
      do {
        guard allows(path) else { throw refuse("it adapts '\(path)', which cannot have one of several adapters") }
        let dense = shape.dora ? linear.weight.denseValues : nil
        results[path] = try make(
          adapter(named: name, beside: linear.weight, dense, &tensors, on: backend), dense)
      } catch { failure = error }
    }
    if let failure { throw failure }
    if let left = tensors.keys.sorted().first {
      throw refuse("tensor \(quoted(left)) belongs to no linear layer of this model: was it made for another one?")
    }
    guard !results.isEmpty else { throw refuse("it has no adapter of a linear layer") }
    if let problem = AdapterPlacement.problem(results.keys.sorted(), dora: shape.dora, in: model) {
      throw refuse(problem)
    }
    return results
  }

  private func refuse(_ reason: String) -> ModelError { .adapter(path: path, reason: reason) }

  private func adapter(
    named name: String, beside weight: Parameter, _ dense: Tensor?, _ tensors: inout [String: SafetensorsTensor],
    on backend: any Backend
  ) throws -> LowRankAdapter {
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    var adapter = LowRankAdapter(
      inputs, outputs, rank: shape.rank, scale: shape.scale, tokenShare: weight.tokenShare)
    func values(_ suffix: String, _ shape: Shape) throws -> Tensor {
      let name = name + suffix
      guard let tensor = tensors.removeValue(forKey: name) else { throw refuse("tensor \(quoted(name)) is missing") }
      guard tensor.shape == shape else {
        throw refuse("tensor \(quoted(name)) is \(tensor.shape), but this model's layer needs \(shape)")
      }
      guard let dtype = tensor.dtype, dtype.isFloatingPoint else {
        throw refuse("tensor \(quoted(name)) is of type \(tensor.typeName), not floating-point")
      }
      return try file.file.withBytes(tensor.byteRange) {
        Tensor(bytes: $0, shape: shape, dtype: dtype, on: backend).cast(to: .float32).copied(to: .weights)
      }
    }
    let down = try values(".lora_A.weight", adapter.down.shape)
    let up = try values(".lora_B.weight", adapter.up.shape)
    adapter.down.value = .trained(down)
    adapter.up.value = .trained(up)
    if let dense { adapter.addMagnitude(try values(".lora_magnitude_vector", [outputs]), of: dense) }
    return adapter
  }
}
