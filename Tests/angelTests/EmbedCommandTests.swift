import AngelCore
import AngelTesting
import Testing

@testable import angel

/// `angel embed`, from texts to the reference's vectors.
@Suite("Vectors of texts")
struct EmbedCommandTests {
  let program: ProgramRunner
  let model = Goldens.path("models/bert-tiny")
  let sentences: [String]
  let vectors: [[Float]]

  init() throws {
    program = ProgramRunner(try TemporaryFolder())
    let golden = try Goldens.json("models/bert-tiny/embedding-golden.json")
    sentences = try #require(golden["sentences"]?.array).compactMap(\.string)
    let floats = try Goldens.floats("models/bert-tiny/sentence-vectors.bin")
    vectors = sentences.indices.map { Array(floats[($0 * 32)..<($0 * 32 + 32)]) }
  }

  private func run(_ words: [String], input: String = "") throws -> ProgramRunner.Outcome {
    let outcome = try program.run(["embed", model] + words + ["--precision", "f32", "--threads", "1"], input: input)
    #expect(outcome.code == .success, "\(outcome.errors)")
    return outcome
  }

  private func expect(_ rows: [[Float]], equal expected: [[Float]]) {
    #expect(rows.count == expected.count)
    for (row, want) in zip(rows, expected) {
      #expect(row.count == want.count && zip(row, want).allSatisfy { abs($0 - $1) < 1e-5 })
    }
  }

  @Test("--json prints the vectors of the texts in their order, cut where they are too long")
  func json() throws {
    let value = try run(sentences + ["--json"]).json
    #expect(value["model"]?.string == model)
    #expect(value["width"]?.integer == 32)
    let rows = try #require(value["embeddings"]?.array).map { $0.array?.compactMap { $0.double.map(Float.init) } ?? [] }
    expect(rows, equal: vectors)
  }

  @Test("lines of standard input are texts, and each vector is a line of numbers")
  func lines() throws {
    let output = try run([], input: sentences.joined(separator: "\n") + "\n").output
    expect(output.split(separator: "\n").map { $0.split(separator: " ").compactMap { Float($0) } }, equal: vectors)
    // More lines than are read at once.
    let many = [String](repeating: sentences[0], count: 70).joined(separator: "\n")
    #expect(Set(try run([], input: many).output.split(separator: "\n")).count == 1)
    #expect(
      try run(["--json"]).output == "{\"model\":\(JSONValue.string(model).encoded()),\"width\":32,\"embeddings\":[]}\n")
  }

  @Test("a GGUF file of an encoder gives the folder's vectors")
  func gguf() throws {
    let outcome = try program.run(
      ["embed", model + "/bert-tiny-F32.gguf", "--precision", "f32", "--threads", "1"],
      input: sentences.joined(separator: "\n") + "\n")
    #expect(outcome.code == .success, "\(outcome.errors)")
    let rows = outcome.output.split(separator: "\n").map { $0.split(separator: " ").compactMap { Float($0) } }
    expect(rows, equal: vectors)
  }

  @Test("a language model makes no vectors, and an encoder writes no text")
  func kinds() throws {
    let llama = Goldens.path("models/llama-tiny")
    let refused = try program.run(["embed", llama, "x"])
    #expect(refused.code == .failure)
    #expect(
      refused.errors
        == "error: '\(llama)' holds a model of architecture 'llama', which makes no vectors of texts; encoders: bert\n")
    let silent = try program.run(["generate", model, "x"])
    #expect(silent.code == .failure && silent.errors.contains("use `angel embed`"))
  }
}
