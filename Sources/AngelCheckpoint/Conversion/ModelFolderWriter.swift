public import AngelCore
import Glibc

/// Writes a model folder: it appears whole under its name when `finish` succeeds, or not at all.
public struct ModelFolderWriter: ~Copyable {
  private let path: String
  private let temporaryPath: String
  private var isFinished = false

  /// Starts the folder that is to become `path`.
  public init(path: String) throws {
    self.path = path
    let (folder, name) = FilePath.split(path)
    temporaryPath = FilePath.join(folder, ".\(name).\(getpid()).partial")
    try FileOperations.remove(temporaryPath)
    try FileOperations.makeFolder(temporaryPath)
  }

  deinit {
    // Nothing can be done about a failure here.
    if !isFinished { try? FileOperations.remove(temporaryPath) }
  }

  /// Writes a JSON document; folders in `name` are made.
  public func write(_ json: JSONValue, as name: String) throws { try write(json.indented(), as: name) }

  /// Writes a text; folders in `name` are made.
  public func write(_ text: String, as name: String) throws {
    let target = FilePath.join(temporaryPath, name)
    try FileOperations.makeFolder(FilePath.split(target).folder)
    try FileOperations.write(text, to: target)
  }

  /// Copies a file, reporting the bytes of each piece; folders in `name` are made.
  public func copy(_ source: String, as name: String, report: (Int) throws -> Void = { _ in }) throws {
    let target = FilePath.join(temporaryPath, name)
    try FileOperations.makeFolder(FilePath.split(target).folder)
    try AtomicFile.copy(source, to: target, report: report)
  }

  /// Writes the tensors as one safetensors file called `stem`, or as shards of at most `shardBytes` with an index.
  ///
  /// `body` is called for each tensor in the order of the files, with a function that takes its bytes.
  public func writeTensors(
    _ tensors: [TensorSource], shardBytes: Int, named stem: String = "model",
    _ body: (TensorSource, (UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    let shards = ShardPlan.ranges(of: tensors.map(\.byteCount), limit: shardBytes).map { tensors[$0] }
    let byName = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0) })
    var index = JSONObject()
    for (number, shard) in shards.enumerated() {
      let name = shards.count == 1 ? stem + ".safetensors" : Self.name(of: number + 1, count: shards.count, stem)
      let entries = shard.map { SafetensorsWriter.Entry(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
      var writer = try SafetensorsWriter(
        path: FilePath.join(temporaryPath, name), tensors: entries, metadata: ["format": "pt"])
      for entry in writer.tensors {
        guard let tensor = byName[entry.name] else { continue }
        try body(tensor) { try writer.write($0) }
        index[entry.name] = .string(name)
      }
      try writer.finish()
    }
    guard shards.count > 1 else { return }
    let total = tensors.reduce(0) { $0 + $1.byteCount }
    try write(
      ["metadata": ["total_size": .integer(total)], "weight_map": .object(index)],
      as: stem + ".safetensors.index.json")
  }

  /// Gives the folder its name, replacing what stood there.
  public consuming func finish() throws {
    let old = temporaryPath + ".old"
    let replaces = FilePath.kind(path) != nil
    if replaces { try FileOperations.rename(path, to: old) }
    do { try FileOperations.rename(temporaryPath, to: path) } catch {
      if replaces { try? FileOperations.rename(old, to: path) }
      throw error
    }
    isFinished = true
    FileOperations.synchronizeFolder(FilePath.split(path).folder)
    if replaces { try FileOperations.remove(old) }
  }

  private static func name(of number: Int, count: Int, _ stem: String) -> String {
    func digits(_ number: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, 5 - text.count)) + text
    }
    return "\(stem)-\(digits(number))-of-\(digits(count)).safetensors"
  }
}
