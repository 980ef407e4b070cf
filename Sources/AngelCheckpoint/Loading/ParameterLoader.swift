import AngelCore
public import AngelNN
public import AngelTensor

/// Fills a model's parameters from a checkpoint: looks names up, checks shapes, packs matrices, releases what was read.
public struct ParameterLoader {
  let checkpoint: Checkpoint
  let names: NameTable
  let backend: any Backend
  let arithmetic: Arithmetic
  /// Called after each parameter with the bytes read so far and in all.
  let report: (_ bytesRead: Int, _ bytesInAll: Int) -> Void

  public init(
    _ checkpoint: Checkpoint, names: NameTable, on backend: any Backend, arithmetic: Arithmetic,
    report: @escaping (_ bytesRead: Int, _ bytesInAll: Int) -> Void = { _, _ in }
  ) {
    self.checkpoint = checkpoint
    self.names = names
    self.backend = backend
    self.arithmetic = arithmetic
    self.report = report
  }

  /// Loads every parameter of `model`; throws at the first that is missing, misshapen or of an unusable dtype, and for
  /// tensors that the model would leave out.
  public func load(into model: inout some Module) throws {
    let records = try model.parameterShapes().map { try (record(for: $0.path, $0.parameter), $0.path) }
    try requireNothingLeftOut(Set(records.map(\.1)))
    let total = records.reduce(0) { $0 + $1.0.byteRange.count }
    var index = 0
    var read = 0
    try model.visitParameters { path, parameter in
      let record = records[index].0
      try load(record, path, into: parameter)
      record.file.release(record.byteRange)
      index += 1
      read += record.byteRange.count
      report(read, total)
    }
    try backend.synchronize()
  }

  private func record(for path: String, _ parameter: Parameter) throws(CheckpointError) -> TensorRecord {
    guard let (name, _) = names.tensor(forParameter: path, in: checkpoint.layout) else {
      preconditionFailure("the model's name table has no entry for '\(path)'")
    }
    let record = try checkpoint.tensor(name)
    guard record.shape == parameter.shape else {
      throw .damaged(
        path: checkpoint.path, format: "checkpoint",
        reason: "tensor '\(name)' has shape \(record.shape), the configuration asks for \(parameter.shape)")
    }
    return record
  }

  /// A bias or a layer that the configuration does not mention would change the answers without a word. A head beside a
  /// tied embedding is a copy of it.
  private func requireNothingLeftOut(_ paths: Set<String>) throws(CheckpointError) {
    for name in checkpoint.tensorNames {
      guard let path = names.parameter(forTensor: name, in: checkpoint.layout), path != "head.weight",
        !paths.contains(path)
      else { continue }
      throw .damaged(
        path: checkpoint.path, format: "checkpoint",
        reason: "its configuration has no place for tensor \(quoted(name))")
    }
  }

  private func load(_ record: TensorRecord, _ path: String, into parameter: Parameter) throws {
    let order = names.tensor(forParameter: path, in: checkpoint.layout)?.rows ?? .identity
    let sourceRows = order.sourceRows(count: parameter.shape[0])
    switch parameter.role {
    case .vector: parameter.value = .vector(try vector(record, sourceRows))
    case .matrix: parameter.value = .matrix(try matrix(record, sourceRows), arithmetic)
    }
  }

  private func vector(_ record: TensorRecord, _ sourceRows: [Int32]?) throws -> Tensor {
    guard record.dtype.isFloatingPoint else { throw unusable(record, ["f64", "f32", "f16", "bf16"]) }
    let stored = try record.withBytes {
      Tensor(bytes: $0, shape: record.shape, dtype: record.dtype, on: backend, kind: .weights)
    }
    let values = stored.cast(to: .float32)
    guard let sourceRows else { return values }
    return values.reshaped(-1, 1).rows(Tensor(sourceRows, on: backend)).reshaped(values.shape.array)
  }

  private func matrix(_ record: TensorRecord, _ sourceRows: [Int32]?) throws -> PackedMatrix {
    let (columns, depth) = (record.shape[0], record.shape[1])
    guard PackedMatrix.byteCount(dtype: record.dtype, columns: columns, depth: depth) != nil else {
      throw unusable(
        record,
        DType.allCases.filter { PackedMatrix.byteCount(dtype: $0, columns: 16, depth: 256) != nil }
          .map(\.name))
    }
    let packed = try record.withBytes {
      PackedMatrix(rows: $0, dtype: record.dtype, columns: columns, depth: depth, rowOrder: sourceRows, on: backend)
    }
    return arithmetic == .bf16 ? packed.converted(to: .bfloat16) : packed
  }

  private func unusable(_ record: TensorRecord, _ supported: [String]) -> CheckpointError {
    .unsupportedTensor(
      name: record.name, type: "\(record.dtype.name) \(record.shape)", path: checkpoint.path, supported: supported)
  }
}
