import AngelCheckpoint
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
  private static let ceiling = 170_000
  // What is out of memory need not be described.
  private static let limits = "ulimit -d \(ceiling); export SWIFT_BACKTRACE=enable=no;"
  private static let megabytes = 133

  /// About 133 MB of rows of 10 kB each, of all kinds of letters.
  private func writeRows(_ row: (Int, String) -> String) throws -> String {
    let path = folder("rows.jsonl")
    let file = try AtomicFile(path: path)
    let text = String(repeating: "To be or not to be, é — that is 是. ", count: 250)
    for index in 0..<(Self.megabytes * 100) { try file.write((row(index, text) + "\n").utf8) }
    try file.commit()
    return path
  }

  /// Trains below the ceiling.
  private func train(_ recipe: String, _ changes: String = "") throws {
    let program = BuiltProgram(folder: folder)
    let process = try program.start(
      "train '\(recipe)' --resume --threads 1 \(changes)", after: Self.limits)
    #expect(program.wait(process) == 0, "\(program.text("errors"))")
  }

  /// The one file of a run's tokens: its size, and what says that it is the same file still.
  private func kept(_ run: String) throws -> (size: Int, identity: [Int]) {
    let names = try #require(FilePath.entries(of: folder(run + "/tokens")))
    #expect(names.count == 1)
    let path = folder(run + "/tokens/" + names[0])
    var status = stat()
    #expect(stat(path, &status) == 0)
    return (
      Int(status.st_size), [Int(bitPattern: UInt(status.st_ino)), status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
    )
  }

  @Test("the ceiling is one: memory of its size is refused")
  func ceiling() throws {
    let text = String(repeating: "To be or not to be. ", count: 100)
    let recipe = try folder.write(recipe(try folder.write(text.utf8, to: "a.txt")).utf8, to: "recipe.yaml")
    try train(recipe)
    // 80 million values are 320 MB.
    let program = BuiltProgram(folder: folder)
    let process = try program.start(
      "train '\(recipe)' architecture.width=4096 architecture.inner=8192 output.folder='\(folder("wide"))'",
      after: Self.limits)
    #expect(program.wait(process) != 0)
  }

  private func recipe(_ rows: String) -> String {
    """
    stage: pretrain
    tokenizer: byte
    precision: f32
    architecture: {family: llama, layers: 1, width: 16, heads: 2, inner: 32}
    data: {train: [\(rows)]}
    sequence_length: 32
    batch_size: 2
    schedule: {shape: constant}
    training: {steps: 6}
    output: {folder: \(folder("run"))}
    """
  }

  @Test(
    "tokens of half as much again as the memory train; they are made once, and a run that is taken up ends as a whole one"
  )
  func texts() throws {
    let recipe = try folder.write(recipe(writeRows { #"{"text": "\#($0) \#($1)"}"# }).utf8, to: "recipe.yaml")
    try train(recipe, "output.folder='\(folder("whole"))'")
    let whole = try kept("whole")
    #expect(whole.size > 3 * 1024 * Self.ceiling / 2)
    // What is kept follows from data and recipe, not from the folder it lies in.
    try FileOperations.makeFolder(folder("run"))
    #expect(rename(folder("whole/tokens"), folder("run/tokens")) == 0)
    for changes in ["training.steps=3", ""] {
      try train(recipe, changes)
      #expect(try kept("run").identity == whole.identity)
    }
    #expect(
      try TemporaryFolder.read(folder("run/model/model.safetensors"))
        == TemporaryFolder.read(folder("whole/model/model.safetensors")))
  }
}
