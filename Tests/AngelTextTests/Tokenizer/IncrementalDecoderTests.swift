import AngelText
import Testing

@Suite("Incremental decoding")
struct IncrementalDecoderTests {
  @Test("the parts joined equal decoding everything, for text and for random tokens", arguments: ["gpt2", "llama3"])
  func equalsDecode(_ name: String) throws {
    let tokenizer = try TokenizerGoldens.tokenizer(name)
    var random = SeededTestGenerator(state: 7)
    var sequences = try TokenizerGoldens.corpus().prefix(1_000).map { try tokenizer.encode($0) }
    for _ in 0..<1_000 {
      // The first 256 ids are single bytes: mostly broken UTF-8.
      sequences.append(
        (0..<40).map { _ in Int32.random(in: 0..<2_000, using: &random) & (Bool.random(using: &random) ? 255 : -1)
        })
    }
    for tokens in sequences {
      for skipping in [true, false] {
        var decoder = IncrementalDecoder(tokenizer, skippingSpecialTokens: skipping)
        var text = ""
        for token in tokens { text += try decoder.append(token) }
        text += decoder.finish()
        #expect(try text.utf8.elementsEqual(tokenizer.decode(tokens, skippingSpecialTokens: skipping).utf8))
      }
    }
  }

  @Test("a character is given out when its last byte arrives, and not before")
  func wholeCharacters() throws {
    let tokenizer = try TokenizerTests.small()
    let tokens = try tokenizer.encode("é😀")
    #expect(tokens.count == 6)
    var decoder = IncrementalDecoder(tokenizer)
    #expect(try tokens.map { try decoder.append($0) } == ["", "é", "", "", "", "😀"])
    #expect(decoder.finish() == "")
  }

  @Test("bytes that cannot become a character are replaced at once, a broken end at finish")
  func broken() throws {
    let tokenizer = try TokenizerTests.small()
    let emoji = try tokenizer.encode("😀")
    let letter = try tokenizer.encode("x")
    var decoder = IncrementalDecoder(tokenizer)
    #expect(try decoder.append(emoji[0]) == "")
    #expect(try decoder.append(emoji[1]) == "")
    #expect(try decoder.append(letter[0]) == "\u{FFFD}x")
    #expect(try decoder.append(emoji[2]) == "\u{FFFD}")
    #expect(try decoder.append(emoji[0]) == "")
    #expect(decoder.finish() == "\u{FFFD}")
    #expect(decoder.finish() == "")
  }
}

/// A small deterministic generator (SplitMix64): tests must repeat.
struct SeededTestGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
