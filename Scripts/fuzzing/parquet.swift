import AngelCore
import Glibc

/// A Parquet file: its footer, its pages, the first rows.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let path = FuzzedFile.write(bytes, count), let file = try? MappedFile(path: path) else { return 0 }
  // Wanted columns, and then all of them.
  for keys in [["text", "messages", "tools"], []] as [Set<String>] {
    guard let rows = try? ParquetRows(file, keys: keys) else { continue }
    var read = 0
    while read < 200, let row = try? rows.next() {
      read += 1
      // What a reader relies on: rows are objects, no field of which is null.
      precondition(row.object?.members.allSatisfy { !$0.value.isNull } == true)
      precondition(rows.rowsRead == read && read <= rows.count)
    }
  }
  return 0
}
