import AngelCore
import AngelDistributed
import Glibc

/// The program: finds the command, runs it, and turns what went wrong into one line and an exit code.
@main
enum Angel {
  static let version = "0.1.0"

  /// What the exit code says: success, failure, usage, interrupted.
  enum ExitCode: Int32 { case success = 0, failure = 1, usage = 2, interrupted = 130 }

  // The command has a thread of its own and the main thread waits for signals: Ctrl-C must not end the process before
  // anything could be cleaned up.
  static func main() {
    let interruption = Interruption()
    let listener = SignalListener(interruption)
    let words = Array(CommandLine.arguments.dropFirst())
    let diagnostics = Output(descriptor: STDERR_FILENO)
    do {
      _ = try DedicatedThread {
        let code = run(
          words, environment: .current(), interruption: interruption, input: Input(descriptor: STDIN_FILENO),
          output: Output(descriptor: STDOUT_FILENO), diagnostics: diagnostics)
        // MPI's own handlers wait for the others for seconds; after a failure these are to be ended at once.
        if code == .failure, Environment.current().launchPlace != nil { _exit(code.rawValue) }
        exit(code.rawValue)
      }
    } catch {
      diagnostics.attempt("error: \(error)\n")
      exit(ExitCode.failure.rawValue)
    }
    listener.listen()
  }

  /// Runs the command the words ask for.
  static func run(
    _ words: [String], environment: Environment, interruption: Interruption, input: Input, output: Output,
    diagnostics: Output
  ) -> ExitCode {
    // Known before parsing, so that a usage error is reported in JSON too.
    var printsJSON = words.prefix { $0 != "--" }.contains("--json")
    do {
      let invocation = try ArgumentParser(commands: CommandCatalog.all).parse(words)
      printsJSON = invocation.arguments[GlobalOptions.json]
      let context = CommandContext(
        arguments: invocation.arguments, environment: environment, interruption: interruption, input: input,
        output: output, diagnostics: diagnostics)
      try invocation.command.run(invocation.arguments, context)
      return .success
    } catch is OutputClosed {
      return .success
    } catch is AnswerInterrupted {
      diagnostics.attempt("\n")
      return .interrupted
    } catch is Interrupted {
      // The terminal shows ^C on the line where the cursor is.
      diagnostics.attempt("\n")
      report("interrupted", printsJSON: printsJSON, output, diagnostics, asLine: false)
      return .interrupted
    } catch let error as UsageError {
      report(error.description, printsJSON: printsJSON, output, diagnostics)
      return .usage
    } catch {
      if let text = text(of: error, environment.launchPlace, interruption) {
        report(text, printsJSON: printsJSON, output, diagnostics)
      }
      return .failure
    }
  }

  /// What an error says; of one of several processes nothing where another has said it: what goes wrong on all of them the
  /// first one says, whereupon the launcher asks the others to end.
  private static func text(
    of error: any Error, _ place: (rank: Int, size: Int)?, _ interruption: Interruption
  ) -> String? {
    guard let place, place.size > 1, place.rank > 0 else { return "\(error)" }
    if case .lost? = error as? DistributedError { return "\(error)" }
    for _ in 0..<100 {
      usleep(100_000)
      if interruption.isForGood { return nil }
    }
    return "rank \(place.rank) of \(place.size): \(error)"
  }

  private static func report(
    _ text: String, printsJSON: Bool, _ output: Output, _ diagnostics: Output, asLine: Bool = true
  ) {
    // Names and paths come from outside: control characters must not reach the terminal, nor break the line.
    let safe = String(
      String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
    if asLine { diagnostics.attempt("error: \(safe)\n") }
    if printsJSON { output.attempt(JSONValue.object(JSONObject([("error", .string(safe))])).encoded() + "\n") }
  }
}

/// The user stopped an answer whose beginning has been printed: nothing more is to be said.
struct AnswerInterrupted: Error {}

extension CommandContext {
  fileprivate init(
    arguments: Arguments, environment: Environment, interruption: Interruption, input: Input, output: Output,
    diagnostics: Output
  ) {
    let printsJSON = arguments[GlobalOptions.json]
    let style: ProgressReporter.Style =
      if printsJSON {
        .json
      } else if diagnostics.isTerminal, environment.terminalIsCapable {
        .bar(descriptor: diagnostics.descriptor)
      } else {
        .lines
      }
    self.init(
      input: input, output: output, diagnostics: diagnostics, environment: environment, interruption: interruption,
      progress: ProgressReporter(style: style, write: { diagnostics.attempt($0) }),
      log: Log(write: { diagnostics.attempt($0) }), printsJSON: printsJSON, device: arguments[GlobalOptions.device],
      threads: arguments[GlobalOptions.threads], precision: arguments[GlobalOptions.precision])
  }
}
