import AngelCore
import AngelHCF
import AngelTesting
import Glibc
import Testing

/// Rotary scaling in GGUF metadata against the same scaling in `config.json`, bit for bit.
@Suite("Rotary scaling in GGUF files")
struct RotaryMetadataTests {
  private let tokens = (0..<48).map { Int32(($0 * 37 + 11) % 259) }

  /// Logits of the tiny model as a folder with `scaling`.
  private func folderRows(
    contextLength: Int = 256, _ tokens: [Int32], _ scaling: JSONValue, original: Int? = nil
  ) throws -> [[Float]] {
    var model = try TinyModel()
    model.configuration["rope_scaling"] = scaling
    model.configuration["max_position_embeddings"] = .integer(contextLength)
    if let original { model.configuration["original_max_position_embeddings"] = .integer(original) }
    let folder = try model.folder()
    return try makeEngine(folder.path).rows(tokens)
  }

  /// Logits of the tiny model as a GGUF file with more metadata or tensors.
  private func fileRows(
    contextLength: UInt32 = 256, _ tokens: [Int32], _ change: (inout GGUFBuilder) -> Void = { _ in }
  ) throws -> [[Float]] {
    var builder = try TinyModel.gguf(contextLength: contextLength)
    change(&builder)
    let folder = try TemporaryFolder()
    return try makeEngine(folder.write(builder.bytes, to: "model.gguf")).rows(tokens)
  }

  @Test("the rebuilt file equals the folder without scaling")
  func none() throws {
    let plain = try folderRows(tokens, .null)
    #expect(try fileRows(tokens) == plain)
    #expect(try fileRows(tokens) { $0.add("llama.rope.scaling.type", "none") } == plain)
    // Some converters write a factor of 0 for none.
    #expect(try fileRows(tokens) { $0.addFloat("llama.rope.scaling.factor", 0) } == plain)
  }

  @Test("linear, under its three spellings")
  func linear() throws {
    let expected = try folderRows(tokens, ["type": "linear", "factor": 4])
    #expect(try folderRows(tokens, .null) != expected)
    #expect(
      try fileRows(tokens) {
        $0.add("llama.rope.scaling.type", "linear")
        $0.addFloat("llama.rope.scaling.factor", 4)
      } == expected)
    #expect(try fileRows(tokens) { $0.addFloat("llama.rope.scaling.factor", 4) } == expected)
    #expect(try fileRows(tokens) { $0.addFloat("llama.rope.scale_linear", 4) } == expected)
  }

  @Test("YaRN with its original length, its betas and its factor")
  func yarn() throws {
    func file(_ change: (inout GGUFBuilder) -> Void = { _ in }) throws -> [[Float]] {
      try fileRows(tokens) {
        $0.add("llama.rope.scaling.type", "yarn")
        $0.addFloat("llama.rope.scaling.factor", 4)
        $0.add("llama.rope.scaling.original_context_length", 64)
        change(&$0)
      }
    }
    let usual: JSONValue = ["rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 64]
    #expect(try file() == folderRows(tokens, usual))
    let tuned: JSONValue = [
      "rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 64, "beta_fast": 2, "beta_slow": 0.25,
    ]
    #expect(
      try file {
        $0.addFloat("llama.rope.scaling.yarn_beta_fast", 2)
        $0.addFloat("llama.rope.scaling.yarn_beta_slow", 0.25)
      } == folderRows(tokens, tuned))
    #expect(try folderRows(tokens, tuned) != folderRows(tokens, usual))
    // Without a factor it is the quotient of the lengths.
    #expect(
      try fileRows(tokens) {
        $0.add("llama.rope.scaling.type", "yarn")
        $0.add("llama.rope.scaling.original_context_length", 64)
      } == folderRows(tokens, usual))
  }

  @Test("divisors kept as a tensor give Llama 3's scaling")
  func divisors() throws {
    // Factor 8, bands 1 and 4, original length 32, as transformers computes the divisors.
    let expected = try folderRows(
      tokens,
      [
        "rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
        "original_max_position_embeddings": 32,
      ])
    let scaled = (0..<8).map { pair -> Float in
      let frequency = 1 / powf(10_000, Float(2 * pair) / 16)
      let wave = 2 * Float.pi / frequency
      if wave > 32 { return 8 }
      if wave < 8 { return 1 }
      let smooth = (32 / wave - 1) / 3
      return frequency / ((1 - smooth) * frequency / 8 + smooth * frequency)
    }
    let rows = try fileRows(tokens) { $0.addTensor("rope_freqs.weight", sizes: [8], values: scaled) }
    for (got, want) in zip(rows, expected) { #expect(normalizedError(got, want) < 1e-5) }
    #expect(rows.count == expected.count)
  }

  @Test("LongRoPE's two sets of divisors, by the length of the text", arguments: [48, 96])
  func longRope(_ count: Int) throws {
    let tokens = (0..<count).map { Int32(($0 * 37 + 11) % 259) }
    let short: [Float] = [1, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2]
    let long: [Float] = [1, 1.3, 1.9, 2.8, 4.1, 6, 9, 13]
    func json(_ values: [Float]) -> JSONValue { .array(values.map { .number(Double($0)) }) }
    let expected = try folderRows(
      tokens, ["type": "longrope", "short_factor": json(short), "long_factor": json(long)], original: 64)
    let rows = try fileRows(tokens) {
      $0.add("llama.rope.scaling.original_context_length", 64)
      $0.addTensor("rope_factors_short.weight", sizes: [8], values: short)
      $0.addTensor("rope_factors_long.weight", sizes: [8], values: long)
    }
    #expect(rows == expected)
  }

  @Test("wrong metadata is refused by its name")
  func wrong() throws {
    func expect(_ message: String, _ change: (inout GGUFBuilder) -> Void) {
      do {
        _ = try fileRows(tokens, change)
        Issue.record("'\(message)' was expected, and it worked")
      } catch {
        #expect("\(error)".contains(message) || (error as? any DescribedError)?.description.contains(message) == true)
      }
    }
    func linear(_ factor: Float) -> (inout GGUFBuilder) -> Void {
      {
        $0.add("llama.rope.scaling.type", "linear")
        $0.addFloat("llama.rope.scaling.factor", factor)
      }
    }
    expect("'llama.rope.scaling.factor' is -4", linear(-4))
    expect("'llama.rope.scaling.factor'", linear(.nan))
    expect("'llama.rope.scaling.factor'", linear(.infinity))
    expect("the rotary frequency", linear(1e-30))
    expect("'llama.rope.scaling.type' is \"spiral\"") { $0.add("llama.rope.scaling.type", "spiral") }
    expect("'llama.rope.dimension_count' is 8") { $0.add("llama.rope.dimension_count", 8) }
    expect("8 values of f32 expected") { $0.addTensor("rope_freqs.weight", sizes: [4], values: [1, 1, 1, 1]) }
    expect("the rotary frequency of pair 2") {
      $0.addTensor("rope_freqs.weight", sizes: [8], values: [1, 1, 0, 1, 1, 1, 1, 1])
    }
    expect("the rotary frequency of pair 3") {
      $0.addTensor("rope_freqs.weight", sizes: [8], values: [1, 1, 1, .nan, 1, 1, 1, 1])
    }
    expect("no tensor 'rope_factors_short.weight'") {
      $0.addTensor("rope_factors_long.weight", sizes: [8], values: [Float](repeating: 1, count: 8))
    }
  }
}
