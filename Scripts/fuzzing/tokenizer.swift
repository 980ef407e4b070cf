import AngelCore

/// A tokenizer.json, the tokenizer made of it, and a text through it and back.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let buffer = UnsafeBufferPointer(start: bytes, count: count)
  guard let json = try? JSONValue(parsing: buffer, maximumDepth: 64),
    let description = try? TokenizerDescription(tokenizerJSON: json, tokenizerConfiguration: json["config"]),
    let tokenizer = try? Tokenizer(description)
  else { return 0 }
  let tokens = (try? tokenizer.encode("Hello, 42 words\n of naïve 龍 text <|end|>", addingSpecialTokens: true)) ?? []
  _ = try? tokenizer.decode(tokens)
  _ = try? description.tokenizerJSON()
  return 0
}
