import AngelCore
public import AngelNN
public import AngelTensor

/// Fills a model's parameters from a checkpoint: looks names up, checks shapes, packs matrices, releases what was read.
public struct ParameterLoader {
  let checkpoint: Checkpoint
  let names: NameTable
  let backend: any Backend
  let arithmetic: Arithmetic
  /// What this process holds a part of, by path; the model has been shared out.
  private let parts: [String: ParameterPart]
  /// The tensors that the file calls 2:4.
  private let twoOfFourTensors: Set<String>
  /// Called after each parameter with the bytes read so far and in all.
  let report: (_ bytesRead: Int, _ bytesInAll: Int) -> Void

  /// - Parameter sharedOut: along which axes the model's parameters are shared out, and among whom
  ///   (`Module.shareOut`); nil: it is whole.
  public init(
    _ checkpoint: Checkpoint, names: NameTable, on backend: any Backend, arithmetic: Arithmetic,
    sharedOut: (axes: [String: Int], peers: any LayerPeers)? = nil,
    report: @escaping (_ bytesRead: Int, _ bytesInAll: Int) -> Void = { _, _ in }
  ) {
    self.checkpoint = checkpoint
    self.names = names
    self.backend = backend
    self.arithmetic = arithmetic
    parts =
      sharedOut.map { axes, peers in
        axes.mapValues { ParameterPart(axis: $0, place: peers.place, count: peers.count) }
      } ?? [:]
    self.report = report
    twoOfFourTensors = checkpoint.twoOfFourTensors
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
    try model.visitParameters { path, parameter in
      let record = sources[index].record
      let isTwoOfFour =
        twoOfFourTensors.contains(record.name) && NameTable.siblings(ofParameter: path) == nil
      try load(record, sources[index].place, into: parameter, parts[path], isTwoOfFour: isTwoOfFour)
      record.release()
      index += 1
      read += record.byteRange.count
      report(read, total)
    }
    try backend.synchronize()
  }

  /// A parameter and what it is read from.
  private typealias Source = (path: String, record: TensorRecord, place: TensorPlace)

  private func source(of path: String, _ parameter: Parameter) throws(CheckpointError) -> Source {
    let places = names.places(ofParameter: path, in: checkpoint.layout)
    guard let place = places.first(where: { checkpoint.contains($0.name) }) ?? places.first else {
      preconditionFailure("the model's name table has no entry for '\(path)'")
    }
    let shape = parts[path]?.whole(parameter.shape) ?? parameter.shape
    return (path, try checkpoint.record(at: place, shape: shape), place)
  }

  /// A bias or a layer that the configuration does not mention would change the answers without a word. A head beside a
  /// tied embedding is a copy of it.
  private func requireNothingLeftOut(_ paths: Set<String>) throws(CheckpointError) {
    for name in checkpoint.tensorNames {
      let lastEntry = max(1, checkpoint.tensors[name]?.shape.array.first ?? 1) - 1
      guard let path = names.parameter(forTensor: name, in: checkpoint.layout, entry: lastEntry),
        path != "head.weight", !paths.contains(path), !isBiasOfZeros(name)
      else { continue }
      throw .damaged(
        path: checkpoint.path, format: "checkpoint",
        reason: "its configuration has no place for tensor \(quoted(name))")
    }
  }

  /// Whether leaving the tensor out changes nothing: AutoGPTQ writes biases of zeros for layers that have none.
  private func isBiasOfZeros(_ name: String) -> Bool {
    guard name.hasSuffix(".bias"), let record = checkpoint.tensors[name], record.shape.rank == 1 else { return false }
    return (try? record.withBytes { $0.allSatisfy { $0 == 0 } }) ?? false
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

  private func load(
    _ record: TensorRecord, _ place: TensorPlace, into parameter: Parameter, _ part: ParameterPart?, isTwoOfFour: Bool
  ) throws {
    switch parameter.role {
    case .vector:
      let whole = try vector(record, place)
      parameter.value = .vector(part.map { whole.prefix($0.range(of: whole.shape[0])).copied(to: .weights) } ?? whole)
    case .exactMatrix: parameter.value = .matrix(try matrix(record, place, parameter.shape, part), .f32)
    case .matrix:
      let packed = try matrix(record, place, parameter.shape, part, isTwoOfFour: isTwoOfFour)
      parameter.value = .matrix(arithmetic == .bf16 ? packed.converted(to: .bfloat16) : packed, arithmetic)
    }
  }

  private func vector(_ record: TensorRecord, _ place: TensorPlace) throws -> Tensor {
    guard record.dtype.isFloatingPoint else { throw unusable(record, ["f64", "f32", "f16", "bf16"]) }
    let stored = try record.withBytes {
      Tensor(bytes: $0, shape: record.shape, dtype: record.dtype, on: backend, kind: .weights)
    }
    let sourceRows = place.rows.sourceRows(count: record.shape[0])
    if record.dtype == .float32, sourceRows == nil, place.form.offset == 0 { return stored }
    var values = stored.cast(to: .float32)
    if let sourceRows { values = values.reshaped(-1, 1).rows(Tensor(sourceRows, on: backend)) }
    if place.form.offset != 0 { values = values + Double(place.form.offset) }
    return values.reshaped(record.shape.array).copied(to: .weights)
  }

  private func matrix(
    _ record: TensorRecord, _ place: TensorPlace, _ shape: Shape, _ part: ParameterPart?, isTwoOfFour: Bool = false
  ) throws -> PackedMatrix {
    let (columns, depth) = (shape[0], shape[1])
    let whole = part?.whole(shape) ?? shape
    guard PackedMatrix.byteCount(dtype: record.dtype, columns: whole[0], depth: whole[1]) != nil else {
      throw unusable(
        record,
        DType.allCases.filter {
          !$0.isTwoOfFour && PackedMatrix.byteCount(dtype: $0, columns: 16, depth: 256) != nil
        }.map(\.name))
    }
    if place.form.isTransposed { return try transposedMatrix(record, place.form, whole, part) }
    var sourceRows = place.rows.sourceRows(count: whole[0])
    if let part, part.axis == 1 { return try inputs(part, of: record, whole, rowOrder: sourceRows) }
    if let part {
      let own = part.range(of: whole[0])
      sourceRows = sourceRows.map { Array($0[own]) } ?? own.map { Int32($0) }
    }
    return try record.withBytes(on: backend) { bytes in
      // What a file says may have been true of another one, so it is checked; rows that are not 2:4 are held as they are.
      let isHeld =
        try isTwoOfFour && PackedMatrix.areTwoOfFour(bytes, dtype: record.dtype, depth: depth, on: backend)
      return PackedMatrix(
        rows: bytes, dtype: isHeld ? record.dtype.twoOfFour ?? record.dtype : record.dtype, columns: columns,
        depth: depth, rowOrder: sourceRows, on: backend)
    }
  }

  /// The part of each row of a [outputs, inputs] matrix: whole blocks of it, or there is none.
  private func inputs(
    _ part: ParameterPart, of record: TensorRecord, _ whole: Shape, rowOrder: [Int32]?
  ) throws -> PackedMatrix {
    let own = part.range(of: whole[1])
    guard PackedMatrix.byteCount(dtype: record.dtype, columns: whole[0], depth: own.count) != nil else {
      throw CheckpointError.unsupported(
        path: checkpoint.path,
        reason: "the \(whole[1]) inputs of \(quoted(record.name)) have no \(part.count) parts of whole blocks of "
          + "\(record.dtype.name): start fewer processes, or take the model in bf16")
    }
    let (rowBytes, ownBytes) = (record.dtype.byteCount(of: whole[1]), record.dtype.byteCount(of: own.count))
    let first = record.dtype.byteCount(of: own.lowerBound)
    let rows = Tensor(
      uninitialized: TensorSpecification([whole[0] * ownBytes], .uint8), on: backend, kind: .workspace)
    try record.withBytes(on: backend) { bytes in
      for row in 0..<whole[0] {
        let start = row * rowBytes + first
        backend.write(
          UnsafeRawBufferPointer(rebasing: bytes[start..<(start + ownBytes)]), to: rows.storage.allocation,
          at: row * ownBytes)
      }
    }
    let bytes = UnsafeRawBufferPointer(start: rows.address, count: rows.specification.byteCount)
    return withExtendedLifetime(rows) {
      PackedMatrix(
        rows: bytes, dtype: record.dtype, columns: whole[0], depth: own.count, rowOrder: rowOrder, on: backend)
    }
  }

  /// A share of a matrix that the file holds as [inputs, outputs]: dense, since blocks cannot be turned.
  private func transposedMatrix(
    _ record: TensorRecord, _ form: StoredForm, _ shape: Shape, _ part: ParameterPart?
  ) throws -> PackedMatrix {
    guard record.dtype.isFloatingPoint else { throw unusable(record, ["f32", "f16", "bf16"]) }
    let stored = try record.withBytes(on: backend) {
      Tensor(bytes: $0, shape: record.shape, dtype: record.dtype, on: backend, kind: .workspace)
    }
    let first = form.firstRow(of: shape)
    let columns = part.flatMap { $0.axis == 0 ? $0.range(of: shape[0]) : nil } ?? 0..<shape[0]
    let inputs = part.flatMap { $0.axis == 1 ? $0.range(of: shape[1]) : nil } ?? 0..<shape[1]
    let own = stored.prefix(inputs).permuted(1, 0).prefix((first + columns.lowerBound)..<(first + columns.upperBound))
    return PackedMatrix(packing: own)
  }

  private func unusable(_ record: TensorRecord, _ supported: [String]) -> CheckpointError {
    .unsupportedTensor(
      name: record.name, type: "\(record.dtype.name) \(record.shape)", path: checkpoint.path, supported: supported)
  }
}
