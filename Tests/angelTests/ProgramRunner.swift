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

  /// Runs the words with the store in the folder and `input` on standard input.
  ///
  /// - Parameter output: where results go instead of a file.
  func run(
    _ words: [String], input: String = "", output: Int32? = nil, interruption: Interruption = .init(),
    variables: [String: String] = [:]
  ) throws -> Outcome {
    try folder.write(input.utf8, to: "input")
    let source = open(folder("input"), O_RDONLY)
    let flags = O_WRONLY | O_CREAT | O_TRUNC
    let results = open(folder("output"), flags, 0o600)
    let errors = open(folder("errors"), flags, 0o600)
    defer {
      close(source)
      close(results)
      close(errors)
    }
    let environment = Environment(["ANGEL_HOME": folder("home")].merging(variables) { $1 })
    let holder = CodeHolder()
    let target = output ?? results
    try DedicatedThread {
      let result = Angel.run(
        words, environment: environment, interruption: interruption,
        input: Input(descriptor: source), output: Output(descriptor: target), diagnostics: Output(descriptor: errors))
      holder.code.withLock { $0 = result }
    }.join()
    let text = { (name: String) in String(decoding: try TemporaryFolder.read(folder(name)), as: UTF8.self) }
    return Outcome(code: holder.code.withLock { $0 }, output: try text("output"), errors: try text("errors"))
  }
}

/// Where the thread leaves its result.
private final class CodeHolder: Sendable {
  let code = Mutex(Angel.ExitCode.failure)
}
