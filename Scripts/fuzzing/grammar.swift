import AngelCore

/// A grammar in GBNF or a regular expression, by the first byte, and random answers in it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let buffer = UnsafeBufferPointer(start: bytes, count: count)
  guard let kind = buffer.first else { return 0 }
  let text = String(decoding: buffer.dropFirst(), as: UTF8.self)
  let format = kind == UInt8(ascii: "g") ? OutputFormat.grammar(text) : .regularExpression(text)
  if let grammar = try? format.makeGrammar() { follow(grammar, buffer) { _ in } }
  return 0
}
