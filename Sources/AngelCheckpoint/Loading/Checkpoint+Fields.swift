import AngelCore
import AngelTensor

extension Checkpoint {
  /// Whether the files hold a tensor of this name, be it of a type that cannot be computed with: `tensor` then says so,
  /// where leaving it out would give another model.
  public func contains(_ name: String) -> Bool { tensors[name] != nil || unsupportedTensors[name] != nil }

  /// The size of a tensor's outermost axis.
  public func rowCount(of name: String) throws(CheckpointError) -> Int {
    let record = try tensor(name)
    guard record.shape.rank > 0 else {
      throw .damaged(path: path, format: "checkpoint", reason: "tensor '\(name)' is a scalar, rows expected")
    }
    return record.shape[0]
  }

  /// The `count` values of a small float32 tensor.
  public func floats(_ name: String, count: Int) throws -> [Float] {
    let record = try tensor(name)
    guard record.dtype == .float32, record.shape.elementCount == count else {
      throw CheckpointError.damaged(
        path: path, format: "checkpoint",
        reason: "tensor '\(name)' is \(record.dtype.name) \(record.shape), \(count) values of f32 expected")
    }
    return try record.withBytes { bytes in
      (0..<count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
  }
}

extension NameTable {
  /// Whether the model's output head is its embedding: so declared, or no head in the files. Declared but with a head of
  /// other values in the files, the head counts, as the reference implementation has it.
  public func tiesHead(in checkpoint: Checkpoint, declared: Bool) throws -> Bool {
    guard let head = tensor(forParameter: "head.weight", in: checkpoint.layout)?.name, checkpoint.contains(head),
      let embedding = tensor(forParameter: "embedding.weight", in: checkpoint.layout)?.name
    else { return true }
    guard declared else { return false }
    let (one, other) = (try checkpoint.tensor(head), try checkpoint.tensor(embedding))
    guard one.dtype == other.dtype, one.shape == other.shape else { return false }
    return try one.withBytes { one in try other.withBytes { one.elementsEqual($0) } }
  }
}
