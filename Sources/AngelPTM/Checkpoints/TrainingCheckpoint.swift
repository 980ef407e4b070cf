import AngelCheckpoint
import AngelCore
import AngelNN
import AngelTensor

/// A run as it stood after a step: every trained parameter, every state of the optimizer, and where the run was.
///
/// A folder `step-00000120` of safetensors files, named by what the tensors are and not by where they lay, and a
/// `state.json` with the digest of each. It is written under another name, synced, renamed, read back and compared
/// before `latest` names it, so `latest` never names one that is unfinished. Which data come next is arithmetic in the
/// step: nothing is stored of it.
public struct TrainingCheckpoint: Sendable {
  public let path: String
  /// Steps taken when it was written.
  public let step: Int
  /// Of those, the ones that were left out.
  public let skippedSteps: Int
  /// The digest of the recipe's parts that a continued run must not change.
  public let recipeDigest: String
  private let digests: [String: String]

  static let version = 1
  static let latestName = "latest"

  /// Opens the checkpoint in the folder at `path`.
  public init(path: String) throws {
    self.path = path
    let file = FilePath.join(path, "state.json")
    let object: JSONValue
    do { object = try JSONValue(parsing: MappedFile.bytes(of: file), maximumDepth: 8) } catch {
      throw PTMError.checkpoint(path: path, reason: "it has no readable state.json (\(error))")
    }
    guard object["version"]?.integer == Self.version, let step = object["step"]?.integer, step >= 0,
      let skipped = object["skipped_steps"]?.integer, (0...step).contains(skipped),
      let recipe = object["recipe"]?.string, let tensors = object["tensors"]?.object
    else { throw PTMError.checkpoint(path: path, reason: "its state.json is not of version \(Self.version)") }
    self.step = step
    skippedSteps = skipped
    recipeDigest = recipe
    digests = Dictionary(
      tensors.members.map { ($0.key, $0.value.string ?? "") }, uniquingKeysWith: { first, _ in first })
  }

  /// The newest checkpoint in `folder`, nil when there is none.
  public static func latest(in folder: String) throws -> TrainingCheckpoint? {
    let link = FilePath.join(folder, latestName)
    guard FilePath.kind(link) != nil else { return nil }
    let name = String(decoding: try MappedFile.bytes(of: link).prefix(256), as: UTF8.self).filter { $0 != "\n" }
    guard step(of: name) != nil else {
      throw PTMError.checkpoint(path: link, reason: "it names \(quoted(name)), which is no checkpoint; remove it")
    }
    return try TrainingCheckpoint(path: FilePath.join(folder, name))
  }

  /// The step in a checkpoint's name, nil for other names.
  static func step(of name: String) -> Int? {
    let digits = name.dropFirst(5)
    guard name.hasPrefix("step-"), !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      return nil
    }
    return Int(digits)
  }

  /// Puts every value back where it was, of several processes on each what it holds, however many had written it; throws
  /// before anything is changed when something is missing or damaged.
  public func restore(_ trainer: Trainer) throws {
    let saved = try verifiedTensors()
    let stored = trainer.storedValues
    for target in stored {
      let shape = trainer.layout.shape(of: target)
      guard let tensor = saved[target.name]?.tensor, tensor.shape == shape, tensor.dtype == target.dtype else {
        throw PTMError.checkpoint(
          path: path,
          reason:
            "it has no \(target.dtype.name) tensor \(quoted(target.name)) of \(shape); the recipe has changed")
      }
    }
    for target in stored {
      try saved[target.name]?.withBytes { trainer.layout.restore(target, from: $0) }
    }
    try trainer.layout.publish()
    trainer.step = step
    trainer.skippedSteps = skippedSteps
  }

  /// Throws when a tensor is missing or not what was written.
  public func verify() throws { _ = try verifiedTensors() }

  /// Every tensor, after its digest has been compared.
  private func verifiedTensors() throws -> [String: SavedTensor] {
    var tensors: [String: SavedTensor] = [:]
    for name in try FilePath.names(in: path) where name.hasSuffix(".safetensors") {
      let file = try SafetensorsFile(path: FilePath.join(path, name))
      for tensor in file.header.tensors { tensors[tensor.name] = SavedTensor(file: file.file, tensor: tensor) }
    }
    for (name, expected) in digests.sorted(by: { $0.key < $1.key }) {
      guard let tensor = tensors[name] else {
        throw PTMError.checkpoint(path: path, reason: "tensor \(quoted(name)) is missing; \(remedy)")
      }
      guard try tensor.withBytes(Self.digest) == expected else {
        throw PTMError.checkpoint(
          path: path, reason: "tensor \(quoted(name)) is not what was written (its digest differs); \(remedy)")
      }
    }
    return tensors
  }

  /// What can be done about a damaged checkpoint.
  private var remedy: String {
    let folder = FilePath.split(path).folder
    let steps = (FilePath.entries(of: folder) ?? []).compactMap { name in Self.step(of: name).map { ($0, name) } }
    guard let earlier = steps.filter({ $0.0 < step }).max(by: { $0.0 < $1.0 }) else {
      return "there is no earlier one: set output.folder to begin anew"
    }
    return "to go on from the one before it, write \(earlier.1) into '\(FilePath.join(folder, Self.latestName))'"
  }

  static func digest(_ bytes: UnsafeRawBufferPointer) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.hexadecimal()
  }
}

/// A tensor of a checkpoint's file.
private struct SavedTensor {
  let file: MappedFile
  let tensor: SafetensorsTensor

  /// The bytes, whose pages are given back afterwards: a checkpoint weighs as much as the run that it is of.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    defer { file.release(tensor.byteRange) }
    return try file.withBytes(tensor.byteRange, body)
  }
}
