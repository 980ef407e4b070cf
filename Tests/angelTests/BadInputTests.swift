import AngelCore
import AngelTesting
import Glibc
import Testing

@testable import angel

/// What a user can get wrong: each is one clear line on standard error and an exit code, and nothing is left behind.
@Suite("Bad input")
struct BadInputTests {
  let folder: TemporaryFolder
  let program: ProgramRunner
  private let model = Goldens.path("models/llama-tiny")

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
  }

  private func refuse(
    _ words: [String], input: String = "", variables: [String: String] = [:], _ code: Angel.ExitCode = .failure,
    _ parts: String...
  ) throws {
    let outcome = try program.run(words, input: input, variables: variables)
    #expect(outcome.code == code, "\(words)")
    #expect(outcome.errors.hasPrefix("error: ") && outcome.errors.hasSuffix("\n"))
    #expect(outcome.errors.split(separator: "\n").count == 1 && outcome.errors.count < 600, "\(outcome.errors)")
    for part in parts { #expect(outcome.errors.contains(part), "\(part) in: \(outcome.errors)") }
    #expect(outcome.output.isEmpty)
  }

  @Test("an unknown model names the nearest known one, or the way to get it")
  func unknownModel() throws {
    try refuse(["generate", "smollm2", "x"], .failure, "'smollm2'", "angel pull smollm2")
    try refuse(["chat", "smolm2"], .failure, "did you mean 'smollm2'?")
    try refuse(["tokenize", "/nowhere/model.gguf"], .failure, "'/nowhere/model.gguf'")
    try refuse(["models", "remove", "nothing"], .failure, "'nothing'")
  }

  @Test("tokens out of range, too long and empty prompts")
  func prompts() throws {
    let many = (0..<300).map { "\($0 % 200)" }.joined(separator: ",")
    try refuse(["logits", model, "--tokens", "264"], .failure, "token 264", "0 to 263")
    try refuse(["generate", model, "--tokens", "1,9999"], .failure, "token 9999")
    try refuse(["tokenize", model, "--decode"], input: "5 264", .failure, "264")
    try refuse(["tokenize", model, "--decode"], input: "5 five", .usage, "'five'")
    try refuse(["logits", model, "--tokens", many], .failure, "300 tokens", "context of 256", "--context")
    try refuse(["generate", model, "--tokens", many], .failure, "300 tokens", "context of 256")
    try refuse(["generate", model, "Hello there", "--context", "4"], .failure, "context of 4")
    try refuse(["generate", model, "x", "--context", "257"], .failure, "257", "256", "lower --context")
    try refuse(["generate", model, ""], .failure, "no tokens")
    try refuse(["generate", model], .failure, "no tokens")
    try refuse(["chat", model, "--context", "8"], input: "A longer message\n", .failure, "context of 8")
    let empty = try folder.write([], to: "empty.txt")
    try refuse(["perplexity", model, empty], .failure, "empty.txt", "longer text")
    try refuse(["perplexity", model, folder("none.txt")], .failure, "none.txt")
    try refuse(["perplexity", model, folder.path], .failure, "not a regular file")
    let short = try folder.write("A few words.".utf8, to: "short.txt")
    try refuse(["perplexity", model, short, "--unscored", "400"], .failure, "--unscored 400")
  }

  @Test("option values and combinations that make no sense are usage errors")
  func options() throws {
    try refuse(["logits", model], .usage, "--tokens")
    try refuse(["logits", model, "--tokens", "1,x"], .usage, "--tokens")
    try refuse(["generate", model, "x", "--tokens", "1"], .usage, "PROMPT", "--tokens")
    try refuse(["generate", model, "--tokens", "1", "--chat"], .usage, "--chat")
    try refuse(["generate", model, "x", "--system", "y"], .usage, "--system needs --chat")
    try refuse(["generate", model, "x", "--logprobs", "1"], .usage, "--logprobs needs --json")
    try refuse(["generate", model, "x", "--top-p", "0"], .usage, "--top-p is 0.0")
    try refuse(["generate", model, "x", "--logit-bias", "5"], .usage, "--logit-bias", "ID:BIAS")
    try refuse(["generate", model, "x", "--logit-bias", "5:1000"], .usage, "-100...100")
    try refuse(["generate", model, "x", "--logit-bias", "999:1"], .failure, "999")
    try refuse(["generate", model, "x", "--max-tokens", "0"], .usage, "--max-tokens")
    try refuse(["generate", model, "x", "--memory", "much"], .usage, "--memory", "2GiB")
    try refuse(["generate", model, "x", "--memory", "1MiB"], .usage, "--memory")
    try refuse(["generate", model, "x", "--cache", "q8"], .usage, "--cache must be f16, bf16, f32, q8_0 or q4_0")
    try refuse(["generate", model, "x", "--device", "cuda:0"], .failure, "--device cpu")
    try refuse(["generate", model, "x", "--temprature", "1"], .usage, "--temperature")
    try refuse(["perplexity", model], .usage, "FILE")
    try refuse(["tokenize", model, "--decode", "--plain"], .usage, "--decode")
  }

  @Test("an instruction set that this processor lacks is named")
  func instructionSet() throws {
    try refuse(["generate", model, "x"], variables: ["ANGEL_ISA": "avx1024"], .failure, "avx1024", "scalar")
  }

  @Test("a model that does not fit the memory budget is refused before it is loaded, with the context that would fit")
  func memory() throws {
    // 262,144 tokens of 256 bytes are 64 MiB.
    let words = ["generate", try wideModel(), "x", "--max-tokens", "2", "--memory", "32MiB", "--context"]
    let refused = try program.run(words + ["262144"])
    #expect(refused.code == .failure)
    for part in ["weights ", "262144 tokens 64.0 MiB", "32.0 MiB", "a smaller file"] {
      #expect(refused.errors.contains(part), "\(refused.errors)")
    }
    let advice = refused.errors.split(whereSeparator: { " ,".contains($0) }).map(String.init)
    let context = try advice[#require(advice.firstIndex(of: "--context")) + 1]
    #expect(try #require(Int(context)) > 16_384)
    #expect(try program.run(words + [context]).code == .success)
    try refuse(["generate", model, "x", "--memory", "4MiB"], .failure, "--memory with a larger budget")
  }

  /// The tiny model with a context so long that its cache counts.
  private func wideModel() throws -> String {
    var configuration = try #require(Goldens.json("models/llama-tiny/config.json").object)
    configuration["max_position_embeddings"] = .integer(1 << 20)
    try folder.write(JSONValue.object(configuration).encoded().utf8, to: "wide/config.json")
    for name in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
      try folder.link(model + "/" + name, as: "wide/" + name)
    }
    return folder("wide")
  }

  @Test("damaged files are refused in one line")
  func damaged() throws {
    let sound = try Goldens.bytes("models/llama-tiny/llama-tiny-Q4_0.gguf")
    func write(_ bytes: [UInt8]) throws -> String { try folder.write(bytes, to: "damaged.gguf") }
    for count in [0, 3, 4, 16, 100, 5000, sound.count - 40_000, sound.count - 1] {
      try refuse(["generate", write(Array(sound.prefix(count))), "x"], .failure, "damaged.gguf")
    }
    var mutated = sound
    mutated.replace("blk.1.attn_q.weight", "attn_q", "attn_x")
    try refuse(["generate", write(mutated), "x"], .failure, "blk.1.attn_q.weight")
    mutated = sound
    mutated.replace("general.architecture\u{8}\0\0\0\u{5}\0\0\0\0\0\0\0llama", "llama", "gemma")
    try refuse(["generate", write(mutated), "x"], .failure, "'gemma'", "supported: ", " llama, ")
    mutated = sound
    mutated.replace("llama.block_count", "count", "c0unt")
    try refuse(["generate", write(mutated), "x"], .failure, "llama.block_count")
    mutated = sound
    mutated[4] = 9
    try refuse(["generate", write(mutated), "x"], .failure, "version")
    try refuse(["generate", folder.write(Array("no model".utf8), to: "x.gguf"), "x"], .failure, "x.gguf")
  }

  @Test(
    "a full disk under standard output is an error of every command", arguments: ["generate", "tokenize", "logits"])
  func fullDisk(command: String) throws {
    let full = open("/dev/full", O_WRONLY)
    defer { close(full) }
    let words = command == "logits" ? ["--tokens", "1"] : []
    let outcome = try program.run([command, model] + words, input: "Hello", output: full)
    #expect(outcome.code == .failure)
    #expect(outcome.errors == "error: cannot write standard output: No space left on device\n")
  }

  @Test("a conversation that cannot be saved leaves no partial file")
  func unsaved() throws {
    try refuse(["chat", model], input: "/save /proc/none/talk\n", .failure, "/proc/none")
    try refuse(["chat", model], input: "/sve x\n", .failure, "'/sve'", "/save FILE")
    #expect(folder.files().allSatisfy { !$0.contains("partial") })
  }
}
