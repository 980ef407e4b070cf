import AngelCore

extension MappedFile {
  /// All bytes of the file at `path`, copied: the mapping ends with the call.
  static func bytes(of path: String) throws(FileError) -> [UInt8] {
    let file = try MappedFile(path: path)
    return withExtendedLifetime(file) { Array(file.unsafeBytes) }
  }
}
