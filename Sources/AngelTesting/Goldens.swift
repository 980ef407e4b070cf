public import AngelCore

/// Golden values: the files under Tests/Goldens.
public enum Goldens {
  /// The absolute path of a golden file or folder.
  public static func path(_ relative: String, from file: String = #filePath) -> String {
    // Tests/AngelTextTests/Tokenizer/TokenizerTests.swift → the package's folder.
    let names = file.split(separator: "/")
    let root = names.prefix(upTo: names.lastIndex { $0 == "Tests" || $0 == "Sources" } ?? 0).joined(separator: "/")
    return "/\(root)/Tests/Goldens/\(relative)"
  }

  /// The names in a golden folder, sorted.
  public static func names(in relative: String) -> [String] { TemporaryFolder.names(in: path(relative)).sorted() }

  /// A golden file's bytes.
  public static func bytes(_ relative: String) throws -> [UInt8] {
    try TemporaryFolder.read(path(relative))
  }

  /// A golden file's JSON.
  public static func json(_ relative: String) throws -> JSONValue { try JSONValue(parsing: bytes(relative)) }

  /// A golden file of little-endian float32 values.
  public static func floats(_ relative: String) throws -> [Float] {
    let bytes = try bytes(relative)
    return bytes.withUnsafeBytes { raw in
      (0..<(raw.count / 4)).map { Float(bitPattern: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
    }
  }
}

/// The norm of the difference over the norm of the reference; infinite when the counts differ.
public func normalizedError(_ got: some Collection<Float>, _ want: some Collection<Float>) -> Double {
  guard got.count == want.count else { return .infinity }
  var (difference, norm) = (0.0, 0.0)
  for (a, b) in zip(got, want) {
    difference += (Double(a) - Double(b)) * (Double(a) - Double(b))
    norm += Double(b) * Double(b)
  }
  return (difference / max(norm, 1e-300)).squareRoot()
}
