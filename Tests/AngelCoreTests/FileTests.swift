import AngelTesting
import Glibc
import Testing

@testable import AngelCore

@Suite struct FileTests {
  @Test("opening a file that is not there names it and says why")
  func missingFile() {
    #expect(throws: FileError.system(operation: "open", path: "/no/such", reason: "No such file or directory")) {
      try MappedFile(path: "/no/such")
    }
  }

  @Test("a folder and a device are no files to map", arguments: ["/tmp", "/dev/null"])
  func irregular(_ path: String) {
    let error = fileError { _ = try MappedFile(path: path) }
    #expect(error?.description == "cannot read '\(path)': it is not a regular file")
  }

  @Test("a named pipe is refused, not waited for")
  func pipe() throws {
    let folder = try TemporaryFolder()
    #expect(mkfifo(folder.path + "/pipe", 0o600) == 0)
    let error = fileError { _ = try MappedFile(path: folder.path + "/pipe") }
    #expect(error?.description.contains("it is not a regular file") == true)
  }

  @Test("ranges inside a mapped file are read, others throw")
  func ranges() throws {
    let folder = try TemporaryFolder()
    let file = try MappedFile(path: try folder.write([1, 2, 3, 4], to: "f"))
    #expect(file.byteCount == 4)
    #expect(try file.withBytes(1..<3) { Array($0) } == [2, 3])
    #expect(try file.withBytes(4..<4) { $0.count } == 0)
    for range in [3..<5, -1..<2, 5..<5, 0..<Int.max] {
      let error = fileError { _ = try file.withBytes(range) { $0.count } }
      #expect(error?.description.contains("outside its 4 bytes") == true)
    }
  }

  @Test("an empty file maps to no bytes")
  func empty() throws {
    let folder = try TemporaryFolder()
    let file = try MappedFile(path: try folder.write([], to: "f"))
    #expect(file.byteCount == 0 && file.unsafeBytes.isEmpty)
    file.release(0..<0)
  }

  @Test("released and prefetched bytes read the same again")
  func release() throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0) }
    let file = try MappedFile(path: try folder.write(bytes, to: "f"))
    for range in [0..<20_000, 1..<19_999, 4096..<8192, -5..<30_000, 100..<200] {
      file.prefetch(range)
      #expect(file.unsafeBytes.elementsEqual(bytes))
      file.release(range)
      #expect(file.unsafeBytes.elementsEqual(bytes))
    }
  }

  @Test("an atomic file has its name only after commit")
  func commit() throws {
    let folder = try TemporaryFolder()
    let file = try AtomicFile(path: folder.path + "/f", expectedBytes: 3)
    try file.write([1, 2])
    try file.write([3])
    #expect(file.byteCount == 3)
    #expect(FilePath.kind(folder.path + "/f") == nil)
    try file.commit()
    #expect(folder.files() == ["f"])
    #expect(throws: FileError.self) { try file.write([4]) }
    #expect(throws: FileError.self) { try file.commit() }
    #expect(try MappedFile(path: folder.path + "/f").byteCount == 3)
  }

  @Test("an atomic file let go leaves nothing")
  func letGo() throws {
    let folder = try TemporaryFolder()
    do {
      let file = try AtomicFile(path: folder.path + "/f")
      try file.write([1, 2])
      #expect(folder.files().count == 1)
    }
    #expect(folder.files().isEmpty)
  }

  @Test("a file too large for the disk is refused before it is started, with both sizes")
  func diskFull() throws {
    let folder = try TemporaryFolder()
    let error = fileError { _ = try AtomicFile(path: folder.path + "/f", expectedBytes: 1 << 60) }
    guard case .diskFull(let path, let wanted, let free) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(path == folder.path + "/f" && wanted == 1 << 60 && free > 0)
    #expect(folder.files().isEmpty)
  }

  @Test("a commit that cannot rename removes the file and says why")
  func renameFails() throws {
    let folder = try TemporaryFolder()
    try folder.write([1], to: "plain")
    // A folder stands where the file should.
    let file = try AtomicFile(path: folder.path)
    try file.write([1])
    let error = fileError { try file.commit() }
    #expect(error?.description.hasPrefix("cannot finish '\(folder.path)': ") == true)
    #expect(folder.files() == ["plain"])
    let name = FilePath.split(folder.path).name
    let siblings = try #require(FilePath.entries(of: "/tmp"))
    #expect(!siblings.contains { $0.hasSuffix(".partial") && $0.contains(name) })
  }

  @Test(
    "paths split and join", arguments: [("/a/b", "/a", "b"), ("b", ".", "b"), ("/b", "/", "b"), ("a/b/", "a", "b")])
  func paths(_ path: String, _ folder: String, _ name: String) {
    let parts = FilePath.split(path)
    #expect(parts.folder == folder && parts.name == name)
  }
}

/// The error that `body` throws; nil when it throws none.
private func fileError(_ body: () throws -> Void) -> FileError? {
  do {
    try body()
    return nil
  } catch { return error as? FileError }
}
