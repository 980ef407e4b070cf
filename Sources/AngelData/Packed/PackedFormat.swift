import AngelCore

/// How a file is packed, told by its name.
enum PackedFormat: String, CaseIterable {
  case gzip = ".gz"
  case zstandard = ".zst"

  /// The format of the file at `path`, and its name without the ending; nil for files that lie open.
  static func of(_ path: String) -> (format: PackedFormat, name: String)? {
    let name = path.lowercased()
    return allCases.first { name.hasSuffix($0.rawValue) }.map { ($0, String(path.dropLast($0.rawValue.count))) }
  }

  /// The most bytes that a file may unpack to: rows are read where they lie, so all of them are held.
  static let limit = 8 << 30

  /// The bytes that `packed` stand for; throws naming `path` when they are damaged or too many.
  func unpacked(_ packed: UnsafeRawBufferPointer, path: String, limit: Int = limit) throws(DataError) -> [UInt8] {
    do throws(PackedError) {
      switch self {
      case .gzip: return try Gzip.unpacked(packed, limit: limit)
      case .zstandard: return try Zstandard.unpacked(packed, limit: limit)
      }
    } catch {
      switch error {
      case .damaged(let reason): throw .unusable(path: path, reason: "it cannot be unpacked: \(reason)")
      case .tooLarge:
        throw .unusable(path: path, reason: "it unpacks to more than \(TextFormat.bytes(limit)); unpack it to disk")
      }
    }
  }
}

/// Why bytes cannot be unpacked.
enum PackedError: Error, Equatable {
  case damaged(String)
  case tooLarge
}
