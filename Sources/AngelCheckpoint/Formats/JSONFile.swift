import AngelCore

/// JSON documents of a model folder, with a limit on their size.
enum JSONFile {
  /// Parsed JSON takes some twelve times its text at worst: this bounds the memory a hostile file can claim.
  static let configurationLimit = 16 << 20
  /// Tokenizers and shard indices of real models stay below 40 MB.
  static let largeLimit = 128 << 20

  /// The object in the file at `path`.
  static func object(_ path: String, limit: Int = configurationLimit) throws(CheckpointError) -> JSONObject {
    try object(bytes(path, limit: limit), path: path)
  }

  /// The object in the file at `path`; nil when there is no such file.
  static func objectIfPresent(_ path: String) throws(CheckpointError) -> JSONObject? {
    FilePath.kind(path) == nil ? nil : try object(path)
  }

  /// The array in the file at `path`.
  static func array(_ path: String) throws(CheckpointError) -> [JSONValue] {
    let value = try value(bytes(path, limit: configurationLimit), path: path)
    guard let array = value.array else {
      throw .damaged(path: path, format: "JSON", reason: "it holds \(value.kind), not an array")
    }
    return array
  }

  /// Parses `bytes`, which came from `path`.
  static func object(
    _ bytes: some Collection<UInt8>, path: String, refusingEqualKeys: Bool = false
  ) throws(CheckpointError) -> JSONObject {
    let value = try value(bytes, path: path, refusingEqualKeys: refusingEqualKeys)
    guard let object = value.object else {
      throw .damaged(path: path, format: "JSON", reason: "it holds \(value.kind), not an object")
    }
    return object
  }

  private static func value(
    _ bytes: some Collection<UInt8>, path: String, refusingEqualKeys: Bool = false
  ) throws(CheckpointError) -> JSONValue {
    do {
      return try JSONValue(parsing: bytes, maximumDepth: 64, refusingEqualKeys: refusingEqualKeys)
    } catch {
      throw .damaged(path: path, format: "JSON", reason: error.reason, offset: error.offset)
    }
  }

  /// The bytes of the file at `path`.
  static func bytes(_ path: String, limit: Int) throws(CheckpointError) -> [UInt8] {
    let file = try accessing(try MappedFile(path: path))
    guard file.byteCount <= limit else {
      throw .unsupported(path: path, reason: "it has \(file.byteCount) bytes; \(limit) are the most")
    }
    return withExtendedLifetime(file) { Array(file.unsafeBytes) }
  }
}
