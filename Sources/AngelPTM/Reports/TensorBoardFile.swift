import AngelCheckpoint
import AngelCore
import Glibc

/// Scalars as TensorBoard reads them: TFRecord frames of `Event` messages (tensorflow/core/util/event.proto).
public final class TensorBoardFile {
  private let descriptor: Int32
  private let path: String

  /// Starts an event file in `folder`; each process of a run has one of its own.
  ///
  /// - Parameter step: of a run that is taken up again, the step it begins from: TensorBoard drops what other files say of
  ///   later ones.
  public init(folder: String, now: Int, resumingAfter step: Int = 0) throws {
    try FileOperations.makeFolder(folder)
    path = FilePath.join(folder, "events.out.tfevents.\(now).angel.\(getpid())")
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError.lastSystemError("create", path) }
    var event = ProtocolBuffer()
    event.double(1, Double(now))
    event.string(3, "brain.Event:2")
    try write(event.bytes)
    guard step > 0 else { return }
    // A SessionLog (field 7) whose status is START.
    var log = ProtocolBuffer()
    log.integer(1, 1)
    var restart = ProtocolBuffer()
    restart.double(1, Double(now))
    restart.integer(2, step + 1)
    restart.message(7, log)
    try write(restart.bytes)
  }

  deinit { close(descriptor) }

  /// Writes values of one step.
  public func write(step: Int, seconds: Double, _ values: [(tag: String, value: Double)]) throws {
    var summary = ProtocolBuffer()
    for (tag, value) in values {
      var entry = ProtocolBuffer()
      entry.string(1, tag)
      entry.float(2, Float(value))
      summary.message(1, entry)
    }
    var event = ProtocolBuffer()
    event.double(1, seconds)
    event.integer(2, step)
    event.message(5, summary)
    try write(event.bytes)
  }

  /// A frame: length, its checksum, the message, its checksum.
  private func write(_ message: [UInt8]) throws {
    let length = withUnsafeBytes(of: UInt64(message.count).littleEndian, Array.init)
    let frame = length + Self.masked(length) + message + Self.masked(message)
    let written = frame.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    guard written == frame.count else { throw FileError.lastSystemError("write", path) }
  }

  private static func masked(_ bytes: [UInt8]) -> [UInt8] {
    let crc = CRC32C.of(bytes)
    return withUnsafeBytes(of: ((crc >> 15 | crc << 17) &+ 0xA282_EAD8).littleEndian, Array.init)
  }
}

/// The few kinds of field that events have.
private struct ProtocolBuffer {
  private(set) var bytes: [UInt8] = []

  mutating func integer(_ field: Int, _ value: Int) {
    varint(UInt64(field << 3))
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func double(_ field: Int, _ value: Double) {
    varint(UInt64(field << 3 | 1))
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  mutating func float(_ field: Int, _ value: Float) {
    varint(UInt64(field << 3 | 5))
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  mutating func string(_ field: Int, _ text: String) { block(field, Array(text.utf8)) }
  mutating func message(_ field: Int, _ message: ProtocolBuffer) { block(field, message.bytes) }

  private mutating func block(_ field: Int, _ content: [UInt8]) {
    varint(UInt64(field << 3 | 2))
    varint(UInt64(content.count))
    bytes += content
  }

  private mutating func varint(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    bytes.append(UInt8(value))
  }
}

/// CRC-32C (Castagnoli), as TFRecord frames are checked by.
enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
  }

  static func of(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(0xFFFF_FFFF) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ $0 >> 8 }
  }
}
