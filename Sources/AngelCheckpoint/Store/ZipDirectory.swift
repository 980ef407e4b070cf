/// Finds and reads the directory at the end of a zip archive.
struct ZipDirectory {
  private let source: ZipArchive.Source
  private let bytes: [UInt8]
  private let entryCount: Int

  /// A directory above this size is no model archive; it bounds memory.
  private static let sizeLimit = 64 << 20

  init(_ source: ZipArchive.Source) throws(StoreError) {
    self.source = source
    let failure = { (reason: String) in StoreError.notAnArchive(file: source.name, reason: reason) }
    guard source.size >= 22 else { throw failure("\(source.size) bytes are too few") }
    // The end record is 22 bytes and a comment of at most 65,535.
    let tailOffset = max(0, source.size - 22 - 65_535)
    let tail = try source.bytes(at: tailOffset, count: source.size - tailOffset)
    guard let end = Self.endRecord(in: tail) else { throw failure("it has no directory at its end") }
    var entries = UInt64(tail.littleEndian16(end + 10))
    var size = UInt64(tail.littleEndian32(end + 12))
    var offset = UInt64(tail.littleEndian32(end + 16))
    guard tail.littleEndian16(end + 4) == tail.littleEndian16(end + 6) else { throw failure("it spans several disks") }
    let endOffset = tailOffset + end
    if entries == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF, endOffset >= 20 {
      let locator = try source.bytes(at: endOffset - 20, count: 20)
      if locator.littleEndian32(0) == 0x0706_4B50 {
        guard let recordOffset = Int(exactly: locator.littleEndian64(8)) else { throw failure("a lying zip64 record") }
        let record = try source.bytes(at: recordOffset, count: 56)
        guard record.littleEndian32(0) == 0x0606_4B50 else { throw failure("its zip64 record is missing") }
        entries = record.littleEndian64(32)
        size = record.littleEndian64(40)
        offset = record.littleEndian64(48)
      }
    }
    guard offset <= UInt64(endOffset), size <= UInt64(endOffset) - offset else {
      throw failure("its directory lies beyond its end")
    }
    guard size <= UInt64(Self.sizeLimit) else { throw failure("its directory of \(size) bytes is too large") }
    // An entry has at least 46 bytes, so the directory's size bounds the count.
    guard entries <= size / 46 else { throw failure("it claims \(entries) members, more than its directory can hold") }
    bytes = try source.bytes(at: Int(offset), count: Int(size))
    entryCount = Int(entries)
  }

  private static func endRecord(in tail: [UInt8]) -> Int? {
    var position = tail.count - 22
    while position >= 0 {
      if tail[position] == 0x50, tail.littleEndian32(position) == 0x0605_4B50,
        position + 22 + Int(tail.littleEndian16(position + 20)) <= tail.count
      {
        return position
      }
      position -= 1
    }
    return nil
  }

  /// All members but folders.
  func members() throws(StoreError) -> [ZipArchive.Member] {
    var members: [ZipArchive.Member] = []
    var names: Set<String> = []
    // Members that share their bytes would make a small archive unpack to any size.
    var compressedTotal = 0
    var position = 0
    for _ in 0..<entryCount {
      guard position <= bytes.count - 46, bytes.littleEndian32(position) == 0x0201_4B50 else {
        throw failure("its directory is damaged")
      }
      let nameLength = Int(bytes.littleEndian16(position + 28))
      let extraLength = Int(bytes.littleEndian16(position + 30))
      let commentLength = Int(bytes.littleEndian16(position + 32))
      guard nameLength + extraLength + commentLength <= bytes.count - position - 46 else {
        throw failure("its directory is damaged")
      }
      let nameEnd = position + 46 + nameLength
      guard let name = String(validating: bytes[(position + 46)..<nameEnd], as: UTF8.self) else {
        throw failure("a member's name is not UTF-8")
      }
      try check(name)
      let member = try self.member(name, at: position, extra: nameEnd..<(nameEnd + extraLength))
      compressedTotal += member.compressedSize
      guard compressedTotal <= source.size else { throw failure("its members overlap") }
      if !name.hasSuffix("/") {
        guard names.insert(name).inserted else { throw failure("it has two members called '\(name)'") }
        members.append(member)
      }
      position = nameEnd + extraLength + commentLength
    }
    return members
  }

  private func member(_ name: String, at position: Int, extra: Range<Int>) throws(StoreError) -> ZipArchive.Member {
    var fields = [
      UInt64(bytes.littleEndian32(position + 24)), UInt64(bytes.littleEndian32(position + 20)),
      UInt64(bytes.littleEndian32(position + 42)),
    ]
    try widen(&fields, from: extra)
    let limit = UInt64(source.size)
    // Deflate cannot make data more than 1,032 times smaller, so a larger claim is a lie.
    guard fields[1] <= limit, fields[2] <= limit, fields[0] <= 1_040 * fields[1] + 64 else {
      throw failure("the sizes of '\(name)' are impossible")
    }
    return ZipArchive.Member(
      name: name, size: Int(fields[0]), compressedSize: Int(fields[1]), method: bytes.littleEndian16(position + 10),
      isEncrypted: bytes.littleEndian16(position + 8) & 1 != 0, checksum: bytes.littleEndian32(position + 16),
      headerOffset: Int(fields[2]))
  }

  /// Replaces the fields (size, compressed size, offset) that are all ones by those of the zip64 extra field, in order.
  private func widen(_ fields: inout [UInt64], from extra: Range<Int>) throws(StoreError) {
    guard fields.contains(0xFFFF_FFFF) else { return }
    var position = extra.lowerBound
    while position + 4 <= extra.upperBound {
      let (tag, length) = (bytes.littleEndian16(position), Int(bytes.littleEndian16(position + 2)))
      guard length <= extra.upperBound - position - 4 else { break }
      if tag == 1 {
        var next = position + 4
        for index in fields.indices where fields[index] == 0xFFFF_FFFF {
          guard next + 8 <= position + 4 + length else { throw failure("a zip64 field is too short") }
          fields[index] = bytes.littleEndian64(next)
          next += 8
        }
        return
      }
      position += 4 + length
    }
  }

  private func check(_ name: String) throws(StoreError) {
    let components = name.split(separator: "/", omittingEmptySubsequences: false)
    let escapes = name.isEmpty || name.hasPrefix("/") || components.contains("..") || name.contains("\\")
    guard !escapes, !name.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
      throw failure("a member's name would leave the target folder")
    }
  }

  private func failure(_ reason: String) -> StoreError { .notAnArchive(file: source.name, reason: reason) }
}

extension [UInt8] {
  func littleEndian16(_ offset: Int) -> UInt16 { UInt16(self[offset]) | UInt16(self[offset + 1]) << 8 }
  func littleEndian32(_ offset: Int) -> UInt32 {
    UInt32(littleEndian16(offset)) | UInt32(littleEndian16(offset + 2)) << 16
  }
  func littleEndian64(_ offset: Int) -> UInt64 {
    UInt64(littleEndian32(offset)) | UInt64(littleEndian32(offset + 4)) << 32
  }
}
