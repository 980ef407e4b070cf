import AngelCore
import Testing

@testable import AngelCheckpoint

@Suite struct GGUFGoldenTests {
  @Test(
    "every quantised type has the values the gguf package finds",
    arguments: [
      "f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k", "f64", "i32", "i64",
    ])
  func values(_ name: String) throws {
    let checkpoint = try Checkpoint.open(Golden.path("quantized.gguf"))
    let record = try checkpoint.tensor(name)
    #expect(record.dtype.name == name)
    let values = ReferenceDequantizer.values(try record.withBytes { Array($0) }, record.dtype)
    let golden = try SafetensorsFile(path: Golden.path("quantized.safetensors"))
    let expected = try #require(golden.header.tensors.first { $0.name == name })
    #expect(record.shape == expected.shape)
    let expectedValues = ReferenceDequantizer.values(
      try golden.file.withBytes(expected.byteRange) { Array($0) }, .float32)
    #expect(values.count == expectedValues.count)
    for (value, expected) in zip(values, expectedValues) {
      try #require(abs(value - expected) <= 2e-6 * abs(expected) + 1e-6)
    }
  }

  @Test("types that cannot be computed with open, and are refused by name when asked for")
  func unsupportedTypes() throws {
    let checkpoint = try Checkpoint.open(Golden.path("quantized.gguf"))
    #expect(checkpoint.unsupportedTensors == ["iq2_xxs": "IQ2_XXS", "i8": "I8"])
    let error = #expect(throws: CheckpointError.self) { try checkpoint.tensor("iq2_xxs") }
    let text = try #require(error).description
    #expect(text.contains("'iq2_xxs'") && text.contains("type IQ2_XXS") && text.contains("F32, F16, Q4_0, Q4_1, Q5_0"))
  }

  @Test("every metadata type has the value the gguf package finds")
  func metadata() throws {
    let header = try GGUFFile(path: Golden.path("metadata.gguf")).header
    let expected = try JSONFile.object(Golden.path("metadata.json"))
    #expect(header.metadata.map(\.key).sorted() == expected.members.map(\.key).sorted())
    for member in expected.members where member.key != "b.nested" {
      #expect(header[member.key]?.json() == member.value, "\(member.key)")
    }
    guard case .arrays(let arrays) = header["b.nested"] else {
      Issue.record("b.nested is no array of arrays")
      return
    }
    #expect(arrays.map(\.numbers?.integers) == [[1, 2], [3]])
    #expect(header.alignment == 64)
    #expect(header.version == 3)
    #expect(header.tensors.map(\.shape) == [[2, 3], [4]])
    #expect(header.tensors.allSatisfy { $0.byteRange.lowerBound % 64 == 0 })
  }

  @Test("a split model opens from its first part with the tensors of all")
  func split() throws {
    let checkpoint = try Checkpoint.open(Golden.path("split-00001-of-00003.gguf"))
    #expect(checkpoint.tensorNames == (0..<5).map { "tensor.\($0)" })
    for index in 0..<5 {
      let record = try checkpoint.tensor("tensor.\(index)")
      #expect(record.shape == [2, 4])
      let values = ReferenceDequantizer.values(try record.withBytes { Array($0) }, record.dtype)
      #expect(values == Array(repeating: Float(index), count: 8))
    }
    #expect(checkpoint.card.parameterCount == 40)
  }

  @Test("a split model is refused from another part, and when a part is missing")
  func splitMisuse() throws {
    let second = checkpointError { _ = try Checkpoint.open(Golden.path("split-00002-of-00003.gguf")) }
    // Later parts carry no architecture; the message must still lead to the first part.
    #expect(second?.description.contains("split-00001-of-00003.gguf") == true)
    let folder = try ScratchFolder()
    for part in 1...2 {
      try folder.write("split-0000\(part)-of-00003.gguf", Golden.bytes("split-0000\(part)-of-00003.gguf"))
    }
    let missing = checkpointError { _ = try Checkpoint.open(folder.path) }
    #expect(missing?.description.contains("split-00003-of-00003.gguf': No such file") == true)
    try folder.write("split-00003-of-00003.gguf", Golden.bytes("split-00002-of-00003.gguf"))
    let wrong = checkpointError { _ = try Checkpoint.open(folder.path) }
    #expect(wrong?.description.contains("does not say that it is part 3 of 3") == true)
    try folder.write("split-00003-of-00003.gguf", Golden.bytes("split-00003-of-00003.gguf"))
    #expect(try Checkpoint.open(folder.path).tensors.count == 5)
  }

  @Test("the tokenizer's metadata becomes a description")
  func tokenizer() throws {
    let checkpoint = try Checkpoint.open(Golden.path("tokenizer.gguf"))
    let tokenizer = try checkpoint.tokenizer()
    #expect((0..<tokenizer.tokens.count).map(tokenizer.tokens.string) == ["<|end|>", "a", "b", "ab", "Ġ", "<tool>"])
    #expect(tokenizer.kinds == [.control, .normal, .normal, .normal, .normal, .userDefined])
    guard case .bytePairs(let rules) = tokenizer.model else {
      Issue.record("\(tokenizer.model) is not a byte-pair encoding")
      return
    }
    #expect(rules.merges.count == 1 && rules.merges.string(0) == "a b")
    #expect(tokenizer.beginToken == 0 && tokenizer.endToken == 0 && tokenizer.paddingToken == 0)
    #expect(tokenizer.unknownToken == 1)
    #expect(tokenizer.prefix == [0] && tokenizer.suffix.isEmpty)
    #expect(tokenizer.addedTokens.map(\.content) == ["<|end|>", "<tool>"])
    #expect(checkpoint.endTokens == [0, 5])
    #expect(checkpoint.chatTemplate == "{{ messages[0].content }}")
    #expect(checkpoint.card.name == "Tiny" && checkpoint.card.license == "apache-2.0")
    #expect(checkpoint.card.summary == "Six tokens.")
    #expect(checkpoint.configuration["general.architecture"] == "llama")
    #expect(checkpoint.architecture == "llama" && checkpoint.layout == .gguf)
  }
}
