import AngelCore
import AngelPTM
import AngelTesting
import Glibc
import Testing

/// Data larger than the memory a run may have.
@Suite("Large data", .enabled(if: Environment.current().runsAllTests, "slow: ANGEL_TEST_ALL=1"))
struct LargeDataTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// KiB of memory that is not a file's: the shell's `ulimit -d`.
  private static let ceiling = 300_000
  private static let megabytes = 300

  /// About 300 MB of rows of 10 kB each, of all kinds of letters.
  private func writeRows(_ row: (Int, String) -> String) throws -> String {
    let path = folder("rows.jsonl")
    let file = try AtomicFile(path: path)
    let text = String(repeating: "To be or not to be, é — that is 是. ", count: 250)
    for index in 0..<(Self.megabytes * 100) { try file.write((row(index, text) + "\n").utf8) }
    try file.commit()
    return path
  }

  private func run(_ recipe: String, _ changes: String = "") throws {
    let program = BuiltProgram(folder: folder)
    let process = try program.start(
      "train '\(recipe)' --resume --threads 1 \(changes)", after: "ulimit -d \(Self.ceiling);")
    #expect(program.wait(process) == 0, "\(program.text("errors"))")
  }

  @Test("texts of three times the memory train, and a run that is taken up reads its tokens and ends as a whole one")
  func texts() throws {
    let rows = try writeRows { #"{"text": "\#($0) \#($1)"}"# }
    let recipe = try folder.write(
      """
      stage: pretrain
      tokenizer: byte
      precision: f32
      architecture: {family: llama, layers: 1, width: 16, heads: 2, inner: 32}
      data: {train: [\(rows)]}
      sequence_length: 32
      batch_size: 2
      training: {steps: 6}
      output: {folder: \(folder("run"))}
      """.utf8, to: "recipe.yaml")
    try run(recipe, "schedule.shape=constant output.folder='\(folder("whole"))'")
    let kept = try #require(FilePath.entries(of: folder("whole/tokens")))
    #expect(kept.count == 1)
    let size = FilePath.status(folder("whole/tokens/" + kept[0]))?.size ?? 0
    #expect(size > 3 * Self.megabytes / 2 * 1_000_000)
    try run(recipe, "training.steps=3 schedule.shape=constant")
    try run(recipe, "schedule.shape=constant")
    #expect(
      try TemporaryFolder.read(folder("run/model/model.safetensors"))
        == TemporaryFolder.read(folder("whole/model/model.safetensors")))
  }
}
