import AngelCore
import AngelTesting
import Testing

@testable import angel

/// `--adapter`: an adapter beside weights that stay as they are, end to end, against PEFT's logits and the merged model.
@Suite("Adapters beside served models")
struct AdapterCommandTests {
  let folder: TemporaryFolder
  let program: ProgramRunner
  let model = Goldens.path("models/llama-tiny")
  let adapter = Goldens.path("adapters/llama-tiny")

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
  }

  /// The object a command prints with `--json`, in float32 on one thread.
  private func json(_ words: [String]) throws -> JSONValue {
    let outcome = try program.run(words + ["--json", "--precision", "f32", "--threads", "1"])
    #expect(outcome.code == .success, "\(outcome.errors)")
    return try outcome.json
  }

  private func logits(_ words: [String], tokens: [Int]) throws -> [Float] {
    let list = tokens.map { String($0) }.joined(separator: ",")
    let rows = try #require(try json(["logits"] + words + ["--tokens", list, "--all"])["logits"]?.array)
    return rows.flatMap { $0.array ?? [] }.compactMap { $0.double.map { Float($0) } }
  }

  /// The greatest difference as a share of the greatest value.
  private func difference(_ a: [Float], _ b: [Float]) -> Float {
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } / b.reduce(0) { max($0, abs($1)) }
  }

  /// `model` and `adapter` as one model.
  private func merged(_ model: String, _ adapter: String) throws -> String {
    let target = folder("merged")
    let outcome = try program.run(["models", "merge", model, adapter, target, "--force", "--threads", "1"])
    #expect(outcome.code == .success, "\(outcome.errors)")
    return target
  }

  @Test(
    "logits are PEFT's at every position", arguments: ["llama-tiny", "qwen3-tiny"])
  func reference(_ name: String) throws {
    let tokens = try #require(Goldens.json("adapters/\(name)/golden.json")["tokens"]?.array).compactMap(\.integer)
    let got = try logits(
      [Goldens.path("models/" + name), "--adapter", Goldens.path("adapters/" + name)], tokens: tokens)
    let error = try difference(got, Goldens.floats("adapters/\(name)/logits.bin"))
    #expect(error < 2e-5, "\(name): \(error)")
  }

  @Test(
    "weights in blocks stay in blocks: logits and text are those of the merged float32 model",
    arguments: ["", "llama-tiny-F32.gguf", "llama-tiny-Q4_0.gguf", "llama-tiny-Q8_0.gguf"])
  func quantized(_ file: String) throws {
    let base = file.isEmpty ? model : model + "/" + file
    let whole = try merged(base, adapter)
    let tokens = [5, 17, 42, 99, 3, 250, 128, 64]
    let error = try difference(
      logits([base, "--adapter", adapter], tokens: tokens), logits([whole], tokens: tokens))
    #expect(error < 2e-5, "\(file): \(error)")
    func text(_ words: [String]) throws -> JSONValue? {
      try json(["generate"] + words + ["--tokens", "5,17,42", "--max-tokens", "12"])["tokens"]
    }
    let (beside, alone, plain) = try (text([base, "--adapter", adapter]), text([whole]), text([base]))
    #expect(beside == alone && beside != plain)
    let words = try folder.write("the quick brown fox jumps over the lazy dog".utf8, to: "text.txt")
    func perplexity(_ arguments: [String]) throws -> Double {
      try #require(try json(["perplexity", arguments[0], words] + arguments.dropFirst())["perplexity"]?.double)
    }
    let (adapted, own) = try (perplexity([base, "--adapter", adapter]), perplexity([whole]))
    #expect(abs(adapted - own) < 1e-4 * own, "\(adapted), \(own)")
  }

  @Test(
    "adapters trained here serve as they merge: DoRA, rsLoRA, and those beside experts",
    arguments: [
      ("llama-tiny", "{rank: 4, dora: true}"), ("llama-tiny/llama-tiny-Q8_0.gguf", "{rank: 4, dora: true}"),
      ("llama-tiny", "{rank: 4, rslora: true, targets: [o_proj, gate_proj]}"),
      ("mixtral-tiny", "{rank: 4, targets: [w1, w2, w3, q_proj]}"),
    ])
  func trained(_ name: String, _ lora: String) throws {
    let base = Goldens.path("models/" + name)
    let text = try folder.write(
      String(repeating: "to be or not to be, that is the question. ", count: 20).utf8, to: "t.txt")
    let recipe = try folder.write(
      """
      stage: pretrain
      model: \(base)
      data: {train: [\(text)]}
      precision: f32
      sequence_length: 32
      optimizer: {learning_rate: 0.05}
      training: {steps: 3}
      lora: \(lora)
      output: {folder: \(folder("run"))}
      """.utf8, to: "recipe.yaml")
    let outcome = try program.run(["train", recipe, "--threads", "1"])
    #expect(outcome.code == .success, "\(outcome.errors)")
    let adapter = folder("run/adapter")
    let whole = try merged(base, adapter)
    let tokens = [5, 17, 42, 99, 3, 50, 60, 64]
    let (beside, alone) = (
      try logits([base, "--adapter", adapter], tokens: tokens), try logits([whole], tokens: tokens)
    )
    let (error, change) = (difference(beside, alone), try difference(beside, logits([base], tokens: tokens)))
    #expect(error < 5e-5 && change > 1e-3, "\(name): \(error), \(change)")
  }

  @Test("the plan counts the adapter beside the weights")
  func plan() throws {
    func bytes(_ words: [String]) throws -> Int {
      let plan = try json(["models", "show"] + words)["plan"]
      return try #require(plan?["entries"]?.array?.first { $0["kind"] == "weights" }?["bytes"]?.integer)
    }
    #expect(try bytes([model, "--adapter", adapter]) > bytes([model]))
  }

  @Test("an adapter that does not fit is refused in one line that says what is wrong")
  func refusals() throws {
    func message(_ model: String, _ adapter: String) throws -> String {
      let outcome = try program.run(["generate", model, "hi", "--adapter", adapter])
      #expect(outcome.code == .failure && outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
      return outcome.errors
    }
    // Every name fits, but the shapes are another model's.
    let other = try message(Goldens.path("models/qwen3-tiny"), adapter)
    #expect(other.contains("adapter '\(adapter)': tensor 'base_model.model.model.layers."), "\(other)")
    // No layer of GPT-2 is called so.
    let names = try message(Goldens.path("models/gpt2-tiny"), adapter)
    #expect(names.contains("belongs to no linear layer of this model: was it made for another one?"), "\(names)")
    #expect(try message(model, folder("nowhere")).contains("it is no folder"))
    try folder.write(
      #"{"peft_type":"LORA","r":4,"lora_alpha":8,"use_qalora":true}"#.utf8, to: "odd/adapter_config.json")
    try folder.link(adapter + "/adapter_model.safetensors", as: "odd/adapter_model.safetensors")
    #expect(try message(model, folder("odd")).contains("use_qalora is true, which is not supported"))
    try folder.write(#"{"peft_type":"LORA","r":8,"lora_alpha":8}"#.utf8, to: "rank/adapter_config.json")
    try folder.link(adapter + "/adapter_model.safetensors", as: "rank/adapter_model.safetensors")
    #expect(try message(model, folder("rank")).contains("but this model's layer needs [8, "))
    let twice = try program.run(["serve", model, "--adapter", adapter, "--adapter", "llama-tiny=" + adapter])
    #expect(twice.code == .usage && twice.errors.contains("two models or adapters are called 'llama-tiny'"))
    let few = try program.run([
      "serve", model, "--adapter", "a=" + adapter, "--adapter", "b=" + adapter, "--max-adapters", "1",
    ])
    #expect(few.code == .usage && few.errors.contains("--max-adapters 1 is less than the 2 that are given"))
    #expect(
      try program.run(["serve", model, "--adapter", "a=" + folder("nowhere")]).errors.contains("it is no folder"))
  }
}
