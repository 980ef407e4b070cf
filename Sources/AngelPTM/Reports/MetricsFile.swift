import AngelCheckpoint
public import AngelCore
import Glibc

/// `metrics.jsonl`: a line a step, written as the run goes. A run that is taken up again forgets the lines after the step it
/// begins from.
public final class MetricsFile {
  public let path: String
  private var descriptor: Int32 = -1

  /// Opens the file in a run's folder, keeping lines of steps up to `step`.
  public init(folder: String, keepingStepsTo step: Int) throws {
    path = FilePath.join(folder, "metrics.jsonl")
    let kept = try Self.lines(path).filter { ($0["step"]?.integer ?? .max) <= step }
    let file = try AtomicFile(path: path)
    for line in kept { try file.write((line.encoded() + "\n").utf8) }
    try file.commit()
    descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError.lastSystemError("open", path) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Appends a line.
  public func append(_ value: JSONValue) throws {
    var line = value.encoded() + "\n"
    try line.withUTF8 { bytes in
      // One write: a reader never sees half a line.
      guard Glibc.write(descriptor, bytes.baseAddress, bytes.count) == bytes.count else {
        throw FileError.lastSystemError("write", path)
      }
    }
  }

  /// The lines of the file at `path`, none when it is not there; a last line that was cut off is left out.
  public static func lines(_ path: String) throws -> [JSONValue] {
    guard FilePath.kind(path) != nil else { return [] }
    return try MappedFile.bytes(of: path).split(separator: UInt8(ascii: "\n")).compactMap {
      try? JSONValue(parsing: $0)
    }
  }
}
