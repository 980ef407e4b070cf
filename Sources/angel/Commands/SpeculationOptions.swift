import AngelCPU
import AngelCore
import AngelHCF
import AngelModels

/// The option of commands that may guess ahead.
enum SpeculationOptions {
  /// Where guesses come from, as it is written.
  enum Choice: Equatable, Sendable {
    case off
    case lookup
    case layers(Range<Int>)
    case model(String)

    /// Reads `off`, `lookup`, `layers:8-21` or a model's name.
    init?(_ text: String) {
      switch text {
      case "off": self = .off
      case "lookup": self = .lookup
      case "": return nil
      default:
        guard text.hasPrefix("layers:") else {
          self = .model(text)
          return
        }
        let ends = text.dropFirst(7).split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard ends.count == 2, let first = ends[0], let last = ends[1], first >= 0, last >= first, last < 1 << 16 else {
          return nil
        }
        self = .layers(first..<(last + 1))
      }
    }
  }

  static let option = Option<Choice>.custom(
    "speculate", placeholder: "off|lookup|layers:A-B|MODEL",
    expects: "off, lookup, layers to leave out such as layers:8-21, or a smaller model of the same vocabulary",
    choices: ["off", "lookup"], default: .lookup, defaultText: "lookup",
    help: "guess ahead and verify several tokens at once; the answer stays the same"
  ) { Choice($0) }

  /// The guesses asked for, for answers of `session`.
  static func speculation(
    _ arguments: Arguments, _ session: LanguageModelSession, among peers: PeerWorld? = nil, on backend: CPUBackend,
    of command: String, _ context: CommandContext
  ) throws -> Speculation? {
    if peers != nil {
      guard !arguments.has(option) || arguments[option] == .off else {
        throw UsageError("--speculate: several processes do not guess yet; leave it out", command: command)
      }
      return nil
    }
    switch arguments[option] {
    case .off: return nil
    case .lookup: return Speculation(.lookup)
    case .layers(let layers): return Speculation(.layers(skipped: layers))
    case .model(let name):
      let checkpoint = try context.openCheckpoint(name)
      let supported = try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint).configuration.contextLength
      let options = try SessionOptions.engine(
        arguments, context, contextLength: min(session.engine.contextLength, supported))
      let other = try context.openSession(checkpoint, named: name, options: options, beside: session, on: backend)
      guard other.tokenizer.digest == session.tokenizer.digest else {
        throw UsageError("--speculate is '\(name)', whose tokens are not those of the model", command: command)
      }
      return Speculation(.model(other.engine))
    }
  }
}
