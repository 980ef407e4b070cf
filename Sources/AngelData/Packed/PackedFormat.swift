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

  func makeUnpacker() throws(PackedError) -> any Unpacker {
    switch self {
    case .gzip: try GzipUnpacker()
    case .zstandard: try ZstandardUnpacker()
    }
  }
}

/// Why bytes cannot be unpacked.
enum PackedError: Error, Equatable, CustomStringConvertible {
  case damaged(String)

  var description: String {
    switch self {
    case .damaged(let reason): reason
    }
  }
}

/// Unpacks bytes as they come, a piece at a time.
protocol Unpacker: AnyObject {
  /// Whether all that was taken is whole: nothing more need follow.
  var isComplete: Bool { get }

  /// Takes some of `input`, which may be empty, and makes some of `output`; neither of them means that more is needed.
  func unpack(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(PackedError) -> (taken: Int, made: Int)
}

extension Unpacker {
  /// The `size` bytes that `packed` stand for, no more and no less; what is held is at most twice what has been unpacked.
  func unpacked(_ packed: ArraySlice<UInt8>, size: Int) throws(PackedError) -> [UInt8] {
    var output: [UInt8] = []
    var (taken, made) = (0, 0)
    while true {
      // A byte more than there may be, which shows that there are more.
      if made == output.count, made <= size {
        output += repeatElement(0, count: min(size + 1 - made, max(made, 1 << 16)))
      }
      let (from, to) = (taken, made)
      let step = packed.withUnsafeBytes { input in
        output.withUnsafeMutableBytes { output in
          Result { () throws(PackedError) in
            try unpack(
              UnsafeRawBufferPointer(rebasing: input[from...]),
              into: UnsafeMutableRawBufferPointer(rebasing: output[to...]))
          }
        }
      }
      let (takenNow, madeNow) = try step.get()
      taken += takenNow
      made += madeNow
      guard made <= size else { throw .damaged("it unpacks to more than \(size) bytes") }
      if takenNow == 0, madeNow == 0 { break }
    }
    guard made == size, isComplete else { throw .damaged("it ends too early") }
    output.removeLast(output.count - size)
    return output
  }
}
