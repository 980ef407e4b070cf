import AngelCore
import Glibc

@testable import AngelCheckpoint

/// A folder that disappears with the object.
final class ScratchFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/angel-formats-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw FileError.lastSystemError("create", "/tmp") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit { Self.remove(path) }

  private static func remove(_ path: String) {
    guard FilePath.kind(path) == .folder else {
      unlink(path)
      return
    }
    for name in allNames(path) { remove(path + "/" + name) }
    rmdir(path)
  }

  /// Every name in `folder`, hidden ones too.
  static func allNames(_ folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  var names: [String] { Self.allNames(path) }

  /// Writes a file and returns its path.
  @discardableResult func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
    let file = try AtomicFile(path: path + "/" + name)
    try file.write(bytes)
    try file.commit()
    return path + "/" + name
  }

  @discardableResult func write(_ name: String, _ text: String) throws -> String { try write(name, text.utf8) }
}

/// The files made by `Scripts/goldens/checkpoint_formats.py`.
enum Golden {
  static func path(_ name: String) -> String {
    let folders = #filePath.split(separator: "/").dropLast(3)
    return "/" + folders.joined(separator: "/") + "/Goldens/formats/" + name
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    let file = try MappedFile(path: path(name))
    return try file.withBytes(0..<file.byteCount) { Array($0) }
  }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same mutations on every machine.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Deterministic damage to valid files.
enum Mutation {
  /// How many damaged files a test reads.
  static let cases = getenv("ANGEL_TEST_ALL").map { String(cString: $0) } == "1" ? 20_000 : 2_000

  /// `bytes` with one to four changes: a bit, a byte, a number of eight bytes, a cut, a repeat, an exchange.
  static func of(_ bytes: [UInt8], _ seed: Int) -> [UInt8] {
    var generator = SeededGenerator(state: UInt64(seed))
    var result = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) where !result.isEmpty {
      change(&result, &generator)
    }
    return result
  }

  private static let numbers: [UInt64] = [
    0, 1, 3, 0x7F, 0xFF, 0xFFFF, 1 << 31, 1 << 32, 1 << 40, 1 << 62, 1 << 63, .max, .max - 7,
  ]

  private static func change(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    let place = Int.random(in: bytes.indices, using: &generator)
    switch Int.random(in: 0..<7, using: &generator) {
    case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
    case 2:
      let number = numbers.randomElement(using: &generator) ?? 0
      for offset in 0..<8 where place + offset < bytes.count {
        bytes[place + offset] = UInt8(truncatingIfNeeded: number >> UInt64(8 * offset))
      }
    case 3: bytes.removeSubrange(place...)
    case 4: bytes.remove(at: place)
    case 5:
      let end = min(bytes.count, place + Int.random(in: 1...16, using: &generator))
      bytes.insert(contentsOf: bytes[place..<end], at: place)
    default: bytes[place] = Array("{}[]\",:-09eE\\".utf8).randomElement(using: &generator) ?? 0
    }
  }
}

/// The most memory this process has had, in bytes.
func peakMemory() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss * 1024
}

/// The error that `body` throws; nil when it throws none.
func checkpointError(_ body: () throws -> Void) -> CheckpointError? {
  do {
    try body()
    return nil
  } catch { return error as? CheckpointError }
}

/// Makes the file at `path` `size` bytes long, with a hole at its end.
func truncateFile(_ path: String, to size: Int) -> Bool { truncate(path, size) == 0 }

/// Parses `bytes` as a whole file.
func parseGGUF(_ bytes: [UInt8]) throws -> GGUFHeader {
  try bytes.withUnsafeBytes { try GGUFHeader(parsing: $0, path: "x.gguf") }
}
