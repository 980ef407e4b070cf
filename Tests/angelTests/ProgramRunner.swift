import AngelCore
import AngelTesting
import Glibc
import Synchronization

@testable import angel

/// Runs command lines as `main` does, on a thread of their own, with their outputs in files.
struct ProgramRunner {
  let folder: TemporaryFolder

  init(_ folder: TemporaryFolder) { self.folder = folder }

  /// What a command line did.
  struct Outcome {
    let code: Angel.ExitCode
    let output: String
    let errors: String

    /// The object on standard output.
    var json: JSONValue { get throws { try JSONValue(parsing: output) } }
  }

  /// Runs the words with the store in the folder; `output` is where results go instead of a file.
  func run(_ words: [String], output: Int32? = nil, interruption: Interruption = .init(), input: Int32? = nil) throws
    -> Outcome
  {
    let flags = O_WRONLY | O_CREAT | O_TRUNC
    let results = open(folder("output"), flags, 0o600)
    let errors = open(folder("errors"), flags, 0o600)
    defer {
      close(results)
      close(errors)
    }
    let home = folder("home")
    let code = Mutex(Angel.ExitCode.failure)
    let holder = Holder(code)
    let target = output ?? results
    let source = input ?? STDIN_FILENO
    try DedicatedThread {
      let result = Angel.run(
        words, environment: Environment(["ANGEL_HOME": home]), interruption: interruption,
        input: Input(descriptor: source), output: Output(descriptor: target), diagnostics: Output(descriptor: errors))
      holder.code.withLock { $0 = result }
    }.join()
    let text = { (name: String) in String(decoding: try TemporaryFolder.read(folder(name)), as: UTF8.self) }
    return Outcome(code: holder.code.withLock { $0 }, output: try text("output"), errors: try text("errors"))
  }
}
