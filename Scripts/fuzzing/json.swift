import AngelCore

/// JSON text; what parses is written and parses again, in full to the same value.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let buffer = UnsafeBufferPointer(start: bytes, count: count)
  guard let value = try? JSONValue(parsing: buffer, maximumDepth: 64) else { return 0 }
  // The short form drops the point of whole numbers, which then are integers.
  precondition((try? JSONValue(parsing: Array(value.encoded().utf8), maximumDepth: 64)) != nil)
  precondition((try? JSONValue(parsing: Array(value.indented().utf8), maximumDepth: 64)) == value)
  return 0
}
