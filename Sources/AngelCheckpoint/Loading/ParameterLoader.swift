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
    guard let (name, _, form) = names.tensor(forParameter: path, in: checkpoint.layout) else {
      preconditionFailure("the model's name table has no entry for '\(path)'")
    }
    let record = try checkpoint.tensor(name)
    let shape = form.fileShape(of: parameter.shape)
    guard record.shape == shape else {
      throw .damaged(
        path: checkpoint.path, format: "checkpoint",
        reason: "tensor '\(name)' has shape \(record.shape), the configuration asks for \(shape)")
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
    guard let (_, order, form) = names.tensor(forParameter: path, in: checkpoint.layout) else { return }
    let sourceRows = order.sourceRows(count: parameter.shape[0])
    switch parameter.role {
    case .vector: parameter.value = .vector(try vector(record, sourceRows, form, parameter.shape))
    case .matrix:
      let packed =
        form.isTransposed
        ? try transposedMatrix(record, form, parameter.shape)
        : try matrix(record, sourceRows, form, parameter.shape)
      parameter.value = .matrix(arithmetic == .bf16 ? packed.converted(to: .bfloat16) : packed, arithmetic)
    }
  }

  private func vector(_ record: TensorRecord, _ sourceRows: [Int32]?, _ form: StoredForm, _ shape: Shape) throws
    -> Tensor
  {
    guard record.dtype.isFloatingPoint else { throw unusable(record, ["f64", "f32", "f16", "bf16"]) }
    let stored = try record.withBytes {
      Tensor(bytes: $0, shape: record.shape, dtype: record.dtype, on: backend, kind: .weights)
    }
    if record.dtype == .float32, sourceRows == nil, form == .plain { return stored }
    var values = stored.cast(to: .float32).prefix(form.rows(count: shape[0]))
    if let sourceRows { values = values.reshaped(-1, 1).rows(Tensor(sourceRows, on: backend)) }
    if form.offset != 0 { values = values + Double(form.offset) }
    return values.reshaped(shape.array).copied(to: .weights)
  }

  private func matrix(_ record: TensorRecord, _ sourceRows: [Int32]?, _ form: StoredForm, _ shape: Shape) throws
    -> PackedMatrix
  {
    try requirePackable(record, depth: shape[1])
    let share = form.rows(count: shape[0])
    let isWhole = form.shareCount == 1
    let order = isWhole ? sourceRows : (sourceRows ?? (0..<Int32(shape[0])).map { $0 }).map { $0 + Int32(share.lowerBound) }
    return try record.withBytes {
      PackedMatrix(rows: $0, dtype: record.dtype, columns: shape[0], depth: shape[1], rowOrder: order, on: backend)
    }
  }

  /// A share of a matrix that the file holds as [inputs, outputs]: dense, since blocks cannot be turned.
  private func transposedMatrix(_ record: TensorRecord, _ form: StoredForm, _ shape: Shape) throws -> PackedMatrix {
    guard record.dtype.isFloatingPoint else { throw unusable(record, ["f32", "f16", "bf16"]) }
    try requirePackable(record, depth: shape[1])
    let stored = try record.withBytes {
      Tensor(bytes: $0, shape: record.shape, dtype: record.dtype, on: backend, kind: .workspace)
    }
    let rows = stored.permuted(1, 0).prefix(form.rows(count: shape[0]))
    let bytes = UnsafeRawBufferPointer(start: rows.address, count: rows.specification.byteCount)
    return withExtendedLifetime(rows) {
      PackedMatrix(rows: bytes, dtype: record.dtype, columns: shape[0], depth: shape[1], on: backend)
    }
  }

  private func requirePackable(_ record: TensorRecord, depth: Int) throws(CheckpointError) {
    guard PackedMatrix.byteCount(dtype: record.dtype, columns: 1, depth: depth) == nil else { return }
    throw unusable(
      record,
      DType.allCases.filter { PackedMatrix.byteCount(dtype: $0, columns: 16, depth: 256) != nil }.map(\.name))
  }

  private func unusable(_ record: TensorRecord, _ supported: [String]) -> CheckpointError {
    .unsupportedTensor(
      name: record.name, type: "\(record.dtype.name) \(record.shape)", path: checkpoint.path, supported: supported)
  }
}
