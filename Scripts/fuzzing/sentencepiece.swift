import AngelCore
import AngelText

/// A SentencePiece model, the tokenizer made of it, a text there and back, and the model as tokenizer.json.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let buffer = UnsafeRawBufferPointer(start: bytes, count: count)
  guard let vocabulary = try? SentencePieceFile.vocabulary(parsing: buffer, path: "fuzz.model"),
    let description = try? TokenizerDescription(vocabulary, tokenizerConfiguration: nil),
    let tokenizer = try? Tokenizer(description)
  else { return 0 }
  let tokens = (try? tokenizer.encode(" Hello,  42 words\n of naïve 龍 text ﬁ <s>", addingSpecialTokens: true)) ?? []
  precondition(tokens.allSatisfy { $0 >= 0 && Int($0) < vocabulary.tokens.count })
  _ = try? tokenizer.decode(tokens)
  _ = try? description.tokenizerJSON()
  return 0
}
