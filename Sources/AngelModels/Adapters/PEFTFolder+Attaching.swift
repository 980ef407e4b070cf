import AngelCheckpoint
import AngelCore
import AngelNN
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
    var tensors = Dictionary(file.header.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let names = type(of: model).names(for: model.configuration)
    var adapters: [String: LowRankAdapter] = [:]
    var failure: (any Error)?
    model.visitLinearLayers { path, linear in
      guard failure == nil, let name = Self.name(of: path, names), tensors[name + ".lora_A.weight"] != nil else {
        return
      }
      do { adapters[path] = try adapter(named: name, beside: linear.weight, &tensors, for: use, on: backend) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    if let left = tensors.keys.sorted().first {
      throw refuse("tensor \(quoted(left)) belongs to no linear layer of this model: was it made for another one?")
    }
    guard !adapters.isEmpty else { throw refuse("it has no adapter of a linear layer") }
    if let problem = AdapterPlacement.problem(adapters.keys.sorted(), dora: shape.dora, in: model) {
      throw refuse(problem)
    }
    model.visitLinearLayers { path, linear in
      if let adapter = adapters[path] { linear.adapter = adapter }
    }
    return adapters.count
  }

  private func refuse(_ reason: String) -> ModelError { .adapter(path: path, reason: reason) }

  private func adapter(
    named name: String, beside weight: Parameter, _ tensors: inout [String: SafetensorsTensor], for use: Use,
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
    if shape.dora {
      adapter.addMagnitude(of: weight.denseValues)
      adapter.magnitude?.value = .trained(try values(".lora_magnitude_vector", [outputs]))
    }
    return use == .training ? adapter : adapter.frozen(beside: weight)
  }
}
