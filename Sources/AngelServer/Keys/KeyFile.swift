import AngelCore
import Glibc

/// A file of keys: JSON that only its owner may read, replaced whole.
public struct KeyFile: Sendable {
  public let path: String

  public init(path: String) { self.path = path }

  /// The keys in the file; none where there is no file and `mayBeAbsent`.
  public func read(mayBeAbsent: Bool = false) throws(ServerError) -> [APIKey] {
    guard FilePath.status(path) != nil else {
      if mayBeAbsent { return [] }
      throw .keyFile(path: path, reason: "there is no such file: make it with angel keys add NAME --keys \(path)")
    }
    let bytes: [UInt8]
    do {
      // Not mapped: whoever cuts the file short while it is read must not end the server.
      bytes = try FilePath.contents(of: path, limit: 16 << 20)
    } catch {
      throw .keyFile(path: path, reason: "\(error)")
    }
    do {
      let json = try JSONValue(parsing: bytes, refusingEqualKeys: true)
      guard let values = json.object?["keys"]?.array else {
        throw ServerError.keyFile(path: path, reason: "it has no array 'keys'")
      }
      var keys: [APIKey] = []
      for value in values { keys.append(try APIKey(json: value)) }
      return keys
    } catch let error as ServerError {
      throw error
    } catch {
      throw .keyFile(path: path, reason: "\(error)")
    }
  }

  /// Puts these keys in the place of those in the file.
  public func write(_ keys: [APIKey]) throws(ServerError) {
    let json: JSONValue = ["keys": .array(keys.map(\.json))]
    do {
      let old = umask(0o077)
      defer { umask(old) }
      let file = try AtomicFile(path: path)
      try file.write(json.indented().utf8)
      try file.commit()
    } catch {
      throw .keyFile(path: path, reason: "\(error)")
    }
  }

  /// What tells whether the file has changed.
  func stamp() -> Stamp? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Stamp(
      inode: UInt64(status.st_ino), size: Int(status.st_size), seconds: status.st_mtim.tv_sec,
      nanoseconds: status.st_mtim.tv_nsec)
  }

  struct Stamp: Equatable, Sendable {
    let inode: UInt64
    let size: Int
    let seconds: Int
    let nanoseconds: Int
  }
}
