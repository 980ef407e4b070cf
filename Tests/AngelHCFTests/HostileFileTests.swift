import AngelCore
import AngelHCF
import AngelTesting
import Testing

/// Whole GGUF models that are sound files, but absurd models; and damaged ones.
@Suite("Hostile GGUF models")
struct HostileFileTests {
  private func refusal(_ builder: GGUFBuilder) throws -> String {
    let folder = try TemporaryFolder()
    do {
      let engine = try makeEngine(folder.write(builder.bytes, to: "model.gguf"))
      _ = try engine.logits(after: [1, 2, 3], in: engine.makeSequence())
      return "it works"
    } catch { return try #require(error as? any DescribedError).description }
  }

  /// A file with little more than metadata.
  private func small(_ change: (inout GGUFBuilder) -> Void) throws -> String {
    var builder = GGUFBuilder()
    builder.add("general.architecture", "llama")
    builder.addFloat("llama.attention.layer_norm_rms_epsilon", 1e-5)
    change(&builder)
    return try refusal(builder)
  }

  private func sizes(_ builder: inout GGUFBuilder, heads: UInt32 = 1, context: UInt32 = 16) {
    for (key, value) in [
      ("embedding_length", 2), ("block_count", 1), ("attention.head_count", heads), ("feed_forward_length", 2),
      ("context_length", context),
    ] as [(String, UInt32)] {
      builder.add("llama." + key, value)
    }
  }

  @Test("fields that are missing, of another type or out of range are named")
  func fields() throws {
    #expect(try small { _ in }.contains("no tensor 'token_embd.weight'"))
    #expect(
      try small { $0.addTensor("token_embd.weight", sizes: [2, 3], values: [1, 2, 3, 4, 5, 6]) }
        .contains("'llama.embedding_length' is missing"))
    #expect(try small { $0.addTensor("token_embd.weight", sizes: [], values: [1]) }.contains("rows expected"))
    #expect(
      try small {
        sizes(&$0)
        $0.addTensor("token_embd.weight", sizes: [2, 0], values: [])
      }.contains("the vocabulary is 0"))
    #expect(
      try small {
        sizes(&$0, heads: 0)
        $0.addTensor("token_embd.weight", sizes: [2, 1], values: [1, 2])
      }.contains("'llama.attention.head_count' is 0"))
    #expect(
      try small {
        sizes(&$0, context: 0)
        $0.addTensor("token_embd.weight", sizes: [2, 1], values: [1, 2])
      }.contains("'llama.context_length' is 0"))
    #expect(
      try small {
        $0.addTensor("token_embd.weight", sizes: [2, 1], values: [1, 2])
        $0.add("llama.embedding_length", "two")
      }.contains("'llama.embedding_length' is \"two\""))
    #expect(
      try small {
        $0.addTensor("token_embd.weight", sizes: [2, 1], values: [1, 2])
        $0.add("llama.embedding_length", 2)
        $0.addArray("llama.block_count", .uint32, count: 1, GGUFBuilder.number(UInt32(1)))
      }.contains("'llama.block_count' is [1]"))
    #expect(
      try small {
        sizes(&$0)
        $0.addTensor("token_embd.weight", sizes: [2, 1], values: [1, 2])
        $0.addTensor("rope_freqs.weight", sizes: [1], values: [0])
      }.contains("the rotary frequency of pair 0 is inf"))
  }

  @Test("norms and biases in block formats, and integer matrices, are refused by name")
  func types() throws {
    #expect(try refusal(TinyModel.gguf()) == "it works")
    /// What is said when tensor `name` is of another type or shape, its bytes all zero.
    func message(_ name: String, _ sizes: [UInt64], type: UInt32, bytes: Int) throws -> String {
      var builder = try TinyModel.gguf(without: name)
      builder.addTensor(name, sizes: sizes, type: type, bytes: [UInt8](repeating: 0, count: bytes))
      return try refusal(builder)
    }
    let (norm, head) = ("output_norm.weight", "output.weight")
    #expect(try message(norm, [64], type: 8, bytes: 68).contains("'\(norm)' of"))
    #expect(try message(norm, [64], type: 8, bytes: 68).contains("q8_0 [64]"))
    #expect(try message(norm, [64], type: 26, bytes: 256).contains("i32 [64]"))
    #expect(try message(head, [64, 264], type: 26, bytes: 64 * 264 * 4).contains("i32 [264, 64]"))
    // Not quietly replaced by the embedding:
    #expect(try message(head, [64, 264], type: 9, bytes: 2 * 264 * 40).contains("has type Q8_1"))
    #expect(
      try message("blk.1.attn_q.weight", [64, 64, 1], type: 0, bytes: 64 * 64 * 4).contains("has shape [1, 64, 64]"))
    // Half precision norms are sound.
    #expect(try message(norm, [64], type: 1, bytes: 128) == "it works")
  }

  @Test("damaged bytes before the weights never trap", arguments: [0, 1])
  func mutations(_ part: UInt64) throws {
    let bytes = try Goldens.bytes("models/llama-tiny/llama-tiny-Q8_0.gguf")
    let random = PhiloxGenerator(seed: 4711, stream: part)
    let folder = try TemporaryFolder()
    let count = Environment.current().runsAllTests ? 5000 : 300
    for round in 0..<count {
      let words = random.block(at: UInt64(round))
      var changed = bytes
      // The last 96 KiB are weights.
      let place = Int(words[0]) % max(1, bytes.count - (96 << 10))
      changed[place] = words[2] % 2 == 0 ? UInt8(truncatingIfNeeded: words[1]) : changed[place] ^ (1 << (words[1] % 8))
      do {
        let engine = try makeEngine(folder.write(changed, to: "model.gguf"))
        _ = try engine.logits(after: [1, 2, 3], in: engine.makeSequence())
      } catch {
        #expect(error is any DescribedError, "\(error)")
      }
    }
  }
}
