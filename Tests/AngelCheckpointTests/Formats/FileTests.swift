import Testing

@testable import AngelCheckpoint

@Suite struct FileTests {
  @Test("opening a file that is not there names it and says why")
  func missingFile() {
    #expect(throws: CheckpointError.system(operation: "open", path: "/no/such", reason: "No such file or directory")) {
      try MappedFile(path: "/no/such")
    }
  }

  @Test("a folder and a device are no files to map", arguments: ["/tmp", "/dev/null"])
  func irregular(_ path: String) {
    let error = checkpointError { _ = try MappedFile(path: path) }
    #expect(error?.description == "cannot read '\(path)': it is not a regular file")
  }

  @Test("a named pipe is refused, not waited for")
  func pipe() throws {
    let folder = try ScratchFolder()
    #expect(makePipe(folder.path + "/pipe"))
    let error = checkpointError { _ = try MappedFile(path: folder.path + "/pipe") }
    #expect(error?.description.contains("it is not a regular file") == true)
  }

  @Test("ranges inside a mapped file are read, others throw")
  func ranges() throws {
    let folder = try ScratchFolder()
    let file = try MappedFile(path: try folder.write("f", [1, 2, 3, 4]))
    #expect(file.byteCount == 4)
    #expect(try file.withBytes(1..<3) { Array($0) } == [2, 3])
    #expect(try file.withBytes(4..<4) { $0.count } == 0)
    for range in [3..<5, -1..<2, 5..<5, 0..<Int.max] {
      let error = checkpointError { _ = try file.withBytes(range) { $0.count } }
      #expect(error?.description.contains("outside its 4 bytes") == true)
    }
  }

  @Test("an empty file maps to no bytes")
  func empty() throws {
    let folder = try ScratchFolder()
    let file = try MappedFile(path: try folder.write("f", []))
    #expect(file.byteCount == 0 && file.unsafeBytes.isEmpty)
    file.release(0..<0)
  }

  @Test("released and prefetched bytes read the same again")
  func release() throws {
    let folder = try ScratchFolder()
    let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0) }
    let file = try MappedFile(path: try folder.write("f", bytes))
    for range in [0..<20_000, 1..<19_999, 4096..<8192, -5..<30_000, 100..<200] {
      file.prefetch(range)
      #expect(file.unsafeBytes.elementsEqual(bytes))
      file.release(range)
      #expect(file.unsafeBytes.elementsEqual(bytes))
    }
  }

  @Test("an atomic file has its name only after commit")
  func commit() throws {
    let folder = try ScratchFolder()
    let file = try AtomicFile(path: folder.path + "/f", expectedBytes: 3)
    try file.write([1, 2])
    try file.write([3])
    #expect(file.byteCount == 3)
    #expect(FilePath.kind(folder.path + "/f") == nil)
    try file.commit()
    #expect(folder.names == ["f"])
    #expect(throws: CheckpointError.self) { try file.write([4]) }
    #expect(throws: CheckpointError.self) { try file.commit() }
    #expect(try MappedFile(path: folder.path + "/f").byteCount == 3)
  }

  @Test("an atomic file let go leaves nothing")
  func letGo() throws {
    let folder = try ScratchFolder()
    do {
      let file = try AtomicFile(path: folder.path + "/f")
      try file.write([1, 2])
      #expect(folder.names.count == 1)
    }
    #expect(folder.names.isEmpty)
  }

  @Test("a file too large for the disk is refused before it is started, with both sizes")
  func diskFull() throws {
    let folder = try ScratchFolder()
    let error = checkpointError { _ = try AtomicFile(path: folder.path + "/f", expectedBytes: 1 << 60) }
    guard case .diskFull(let path, let wanted, let free) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(path == folder.path + "/f" && wanted == 1 << 60 && free > 0)
    #expect(folder.names.isEmpty)
  }

  @Test("a commit that cannot rename removes the file and says why")
  func renameFails() throws {
    let folder = try ScratchFolder()
    try folder.write("plain", [1])
    // A folder stands where the file should.
    let file = try AtomicFile(path: folder.path)
    try file.write([1])
    let error = checkpointError { try file.commit() }
    #expect(error?.description.hasPrefix("cannot finish '\(folder.path)': ") == true)
    #expect(folder.names == ["plain"])
    let siblings = ScratchFolder.allNames("/tmp").filter { $0.hasSuffix(".partial") && $0.contains("angel-formats") }
    let name = FilePath.split(folder.path).name
    #expect(!siblings.contains { $0.contains(name) })
  }

  @Test(
    "paths split and join", arguments: [("/a/b", "/a", "b"), ("b", ".", "b"), ("/b", "/", "b"), ("a/b/", "a", "b")])
  func paths(_ path: String, _ folder: String, _ name: String) {
    let parts = FilePath.split(path)
    #expect(parts.folder == folder && parts.name == name)
  }

  @Test("only names with equal digits are parts of a split file")
  func splitNames() {
    let name = SplitName("/m/x-00002-of-00013.gguf")
    #expect(name?.number == 2 && name?.count == 13 && name?.prefix == "/m/x")
    #expect(name?.path(1) == "/m/x-00001-of-00013.gguf")
    for wrong in [
      "x.gguf", "x-00003-of-00002.gguf", "x-00000-of-00002.gguf", "-00001-of-00002.gguf", "x-0001-of-0002.gguf",
    ] {
      #expect(SplitName(wrong) == nil, "\(wrong)")
    }
  }
}
