import AngelCore

/// A zip archive: its directory, and every member unpacked.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let buffer = UnsafeBufferPointer(start: bytes, count: count)
  guard let archive = try? ZipArchive(.init(bytes: Array(buffer), name: "fuzz.zip")) else { return 0 }
  for member in archive.members {
    // What a reader relies on: names that stay in the folder, and no more bytes than deflate can make.
    precondition(!member.name.isEmpty && !member.name.hasPrefix("/") && !member.name.contains("\\"))
    precondition(!member.name.split(separator: "/", omittingEmptySubsequences: false).contains(".."))
    precondition(member.size <= 1_040 * count + 64)
    var produced = 0
    let isWhole = (try? archive.extract(member, interruption: Interruption()) { produced += $0.count }) != nil
    precondition(produced <= member.size && (!isWhole || produced == member.size))
  }
  return 0
}
