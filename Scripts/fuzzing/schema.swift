import AngelCore

/// A JSON Schema, and random answers under it, which are JSON where they may end.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let buffer = UnsafeBufferPointer(start: bytes, count: count)
  guard let schema = try? JSONValue(parsing: buffer, maximumDepth: 64) else { return 0 }
  guard let grammar = try? OutputFormat.jsonSchema(schema).makeGrammar() else { return 0 }
  follow(grammar, buffer) { text in
    precondition((try? JSONValue(parsing: text)) != nil, String(decoding: text, as: UTF8.self))
  }
  return 0
}
