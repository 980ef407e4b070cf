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
    let sources = try model.parameterShapes().map { try source(of: $0.path, $0.parameter) }
    try requireNothingLeftOut(Set(sources.map(\.path)))
    try requireEqualTypes(sources)
    let total = sources.reduce(0) { $0 + $1.record.byteRange.count }
    var index = 0
    var read = 0
    try model.visitParameters { _, parameter in
      let record = sources[index].record
      try load(record, sources[index].rows, into: parameter)
      record.file.release(record.byteRange)
      index += 1
      read += record.byteRange.count
      report(read, total)
    }
    try backend.synchronize()
  }

  /// A parameter and what it is read from.
  private typealias Source = (path: String, record: TensorRecord, rows: RowOrder)

  private func source(of path: String, _ parameter: Parameter) throws(CheckpointError) -> Source {
    let places = names.places(ofParameter: path, in: checkpoint.layout)
    guard let place = places.first(where: { checkpoint.contains($0.name) }) ?? places.first else {
      preconditionFailure("the model's name table has no entry for '\(path)'")
    }
    return (path, try checkpoint.record(at: place, shape: parameter.shape), place.rows)
  }

  /// A bias or a layer that the configuration does not mention would change the answers without a word. A head beside a
  /// tied embedding is a copy of it.
  private func requireNothingLeftOut(_ paths: Set<String>) throws(CheckpointError) {
    for name in checkpoint.tensorNames {
      let lastEntry = max(1, checkpoint.tensors[name]?.shape.array.first ?? 1) - 1
      guard let path = names.parameter(forTensor: name, in: checkpoint.layout, entry: lastEntry),
        path != "head.weight", !paths.contains(path)
      else { continue }
      throw .damaged(
        path: checkpoint.path, format: "checkpoint",
        reason: "its configuration has no place for tensor \(quoted(name))")
    }
  }

  /// The experts of a layer are multiplied together, so their weights must be of one type.
  private func requireEqualTypes(_ sources: [Source]) throws(CheckpointError) {
    var dtypes: [String: DType] = [:]
    for (path, record, _) in sources {
      guard let siblings = NameTable.siblings(ofParameter: path) else { continue }
      let dtype = dtypes[siblings, default: record.dtype]
      dtypes[siblings] = dtype
      guard dtype == record.dtype else {
        throw .unsupported(
          path: checkpoint.path,
          reason: "tensor \(quoted(record.name)) is \(record.dtype.name), its layer's other experts are "
            + "\(dtype.name); convert them to one type")
      }
    }
  }

  private func load(_ record: TensorRecord, _ order: RowOrder, into parameter: Parameter) throws {
    let sourceRows = order.sourceRows(count: parameter.shape[0])
    switch parameter.role {
    case .vector: parameter.value = .vector(try vector(record, sourceRows))
    case .exactMatrix: parameter.value = .matrix(try matrix(record, sourceRows), .f32)
    case .matrix:
      let packed = try matrix(record, sourceRows)
      parameter.value = .matrix(arithmetic == .bf16 ? packed.converted(to: .bfloat16) : packed, arithmetic)
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
    return try record.withBytes {
      PackedMatrix(rows: $0, dtype: record.dtype, columns: columns, depth: depth, rowOrder: sourceRows, on: backend)
    }
  }

  private func unusable(_ record: TensorRecord, _ supported: [String]) -> CheckpointError {
    .unsupportedTensor(
      name: record.name, type: "\(record.dtype.name) \(record.shape)", path: checkpoint.path, supported: supported)
  }
}
