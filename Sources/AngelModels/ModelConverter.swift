public import AngelCheckpoint
public import AngelCore
public import AngelTensor

/// Writes a model in another layout or type: GGUF file to safetensors folder and back, tensor by tensor.
///
/// What is written appears whole or not at all; memory holds a few rows at a time, of a quantised folder
/// one matrix as it is unpacked, beside what a tokenizer takes.
public struct ModelConverter {
  /// What to write, and where.
  public struct Request: Sendable {
    public var target: String
    public var layout: Checkpoint.Layout
    /// The type of matrices; nil keeps each tensor's own, and makes quantised ones float32 in a folder.
    public var matrixType: DType?
    /// Parameters made anew for the new file, by path: GGUF only.
    public var encoded: [String: EncodedParameter] = [:]
    /// Whether linear layers become whole numbers and scales as compressed-tensors has them: folders only.
    public var packsLayers = false
    /// Whether to write over what stands at `target`.
    public var replaces = false
    /// The most bytes of tensors in one file; nil for one GGUF file, and 5 GB in one of safetensors.
    public var splitBytes: Int?

    public init(target: String, layout: Checkpoint.Layout, matrixType: DType? = nil) {
      self.target = target
      self.layout = layout
      self.matrixType = matrixType
    }
  }

  /// What was written.
  public struct Result: Sendable, Equatable {
    public var architecture: String
    /// What to open: the target, or the first of the parts written in its place.
    public var path: String
    public var tensorCount: Int
    /// Bytes of tensors by type, most first.
    public var byteCounts: [(type: DType, bytes: Int)]

    public static func == (a: Result, b: Result) -> Bool {
      a.architecture == b.architecture && a.path == b.path && a.tensorCount == b.tensorCount
        && a.byteCounts.elementsEqual(b.byteCounts, by: ==)
    }
  }

  /// What writers of safetensors folders have agreed on.
  private static let shardBytes = 5_000_000_000

  let backend: any Backend
  /// Called with the bytes of tensors written so far and in all; may throw to stop.
  let report: (_ written: Int, _ inAll: Int) throws -> Void

  public init(on backend: any Backend, report: @escaping (_ written: Int, _ inAll: Int) throws -> Void = { _, _ in }) {
    self.backend = backend
    self.report = report
  }

  /// Writes `checkpoint` as asked; throws naming what cannot be represented before anything is written.
  public func convert(_ checkpoint: Checkpoint, _ request: Request) throws -> Result {
    try checkTarget(checkpoint, request)
    let plan = ConversionPlan(
      layout: request.layout, matrixType: request.matrixType, encoded: request.encoded,
      packsLayers: request.packsLayers)
    let content =
      checkpoint.layout == request.layout && plan.encoded.isEmpty && !plan.packsLayers
      ? try unchanged(checkpoint, plan)
      : try ModelCatalog.translation(of: checkpoint, plan)
    var path = request.target
    switch request.layout {
    case .gguf: path = try writeFile(content, checkpoint, request)
    case .huggingFace: try writeFolder(content, checkpoint, request)
    }
    var bytes: [DType: Int] = [:]
    for tensor in content.tensors { bytes[tensor.dtype, default: 0] += tensor.byteCount }
    return Result(
      architecture: content.architecture, path: path, tensorCount: content.tensors.count,
      byteCounts: bytes.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }.map { ($0.key, $0.value) })
  }

  private func checkTarget(_ checkpoint: Checkpoint, _ request: Request) throws {
    let types = ConversionPlan.types(in: request.layout, packsLayers: request.packsLayers)
    if let type = request.matrixType, !types.contains(type) {
      let place =
        request.layout == .gguf ? "to GGUF" : request.packsLayers ? "for compressed-tensors" : "to safetensors"
      throw ConversionError(
        "\(type.name) cannot be written \(place); possible: "
          + types.map(\.name).joined(separator: ", "))
    }
    try checkpoint.requireTarget(request.target, isFolder: request.layout == .huggingFace, replaces: request.replaces)
  }

  // MARK: What to write

  /// The same layout: every tensor under its name, metadata or small files as they are.
  private func unchanged(_ checkpoint: Checkpoint, _ plan: ConversionPlan) throws -> ConvertedModel {
    var content = ConvertedModel(architecture: checkpoint.architecture, tensors: try plan.tensors(of: checkpoint))
    switch plan.layout {
    case .gguf: content.metadata = GGUFMetadata.copied(from: checkpoint, tensors: content.tensors) ?? []
    case .huggingFace:
      var configuration = checkpoint.configuration
      if let type = plan.matrixType {
        configuration.setTensorType(type)
      } else if checkpoint.card.quantization != nil {
        configuration.setTensorType(.float32)
      }
      content.documents = [("config.json", .object(configuration))]
    }
    return content
  }

  // MARK: Writing

  /// Writes the file, or its parts; the path of the first.
  private func writeFile(_ content: ConvertedModel, _ checkpoint: Checkpoint, _ request: Request) throws -> String {
    let entries = content.tensors.map { GGUFWriter.Entry(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
    let limit = request.splitBytes ?? .max
    let paths = try GGUFWriter.paths(for: request.target, sizes: content.tensors.map(\.byteCount), splitBytes: limit)
    for path in paths { try checkpoint.requireTarget(path, isFolder: false, replaces: request.replaces) }
    var writer = try GGUFWriter(
      path: request.target, metadata: content.metadata, tensors: entries, splitBytes: limit)
    let progress = Progress(of: content.tensors, report)
    let encoder = TensorEncoder(on: backend)
    for tensor in content.tensors {
      try encoder.encode(tensor) {
        try writer.write($0)
        try progress.advance(by: $0.count)
      }
    }
    try writer.finish()
    return paths[0]
  }

  private func writeFolder(_ content: ConvertedModel, _ checkpoint: Checkpoint, _ request: Request) throws {
    let writer = try ModelFolderWriter(path: request.target)
    for document in content.documents { try writer.write(document.json, as: document.name) }
    if checkpoint.layout == .huggingFace { try writer.copySmallFiles(of: checkpoint) }
    let progress = Progress(of: content.tensors, report)
    let encoder = TensorEncoder(on: backend)
    try writer.writeTensors(content.tensors, shardBytes: request.splitBytes ?? Self.shardBytes) { tensor, write in
      try encoder.encode(tensor) {
        try write($0)
        try progress.advance(by: $0.count)
      }
    }
    try writer.finish()
  }

  /// Counts bytes on their way to the disk.
  private final class Progress {
    private let total: Int
    private let report: (Int, Int) throws -> Void
    private var written = 0

    init(of tensors: [TensorSource], _ report: @escaping (Int, Int) throws -> Void) {
      total = tensors.reduce(0) { $0 + $1.byteCount }
      self.report = report
    }

    func advance(by count: Int) throws {
      written += count
      try report(written, total)
    }
  }
}
