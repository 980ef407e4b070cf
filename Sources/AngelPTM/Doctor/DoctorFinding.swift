public import AngelCore

/// What one of the doctor's checks found.
public struct DoctorFinding: Sendable, Hashable {
  /// How a check ends.
  public enum Outcome: String, Sendable {
    case passed, warning, failed
    /// There was nothing to check; the value says why.
    case skipped
  }

  /// What was checked, in a few words.
  public var check: String
  public var outcome: Outcome
  /// What was measured, with its unit.
  public var value: String
  /// What the user can do about it; nil where nothing is to be done.
  public var remedy: String?
  public var seconds = 0.0

  public init(_ check: String, _ outcome: Outcome, _ value: String, remedy: String? = nil) {
    self.check = check
    self.outcome = outcome
    self.value = value
    self.remedy = outcome == .passed || outcome == .skipped ? nil : remedy
  }

  public var json: JSONValue {
    [
      "check": .string(check), "outcome": .string(outcome.rawValue), "value": .string(value),
      "remedy": remedy.map { .string($0) } ?? .null, "seconds": .number(seconds),
    ]
  }
}

/// One question about a run, asked before it begins. What it looks at comes in as values and closures, so that a test
/// can plant the mistake it is there to find.
protocol DoctorCheck {
  static var name: String { get }
  func run() throws -> DoctorFinding
}

extension DoctorCheck {
  /// The finding with the time it took; a check that cannot be carried out has failed, and says why.
  func finding() -> DoctorFinding {
    let clock = ContinuousClock()
    let begin = clock.now
    var finding: DoctorFinding
    do { finding = try run() } catch {
      finding = DoctorFinding(
        Self.name, .failed, "it could not be carried out: \(error)", remedy: "the run would meet the same error")
    }
    finding.seconds = (clock.now - begin) / .seconds(1)
    return finding
  }

  func passed(_ value: String) -> DoctorFinding { DoctorFinding(Self.name, .passed, value) }
  func skipped(_ reason: String) -> DoctorFinding { DoctorFinding(Self.name, .skipped, reason) }
  func warning(_ value: String, remedy: String) -> DoctorFinding {
    DoctorFinding(Self.name, .warning, value, remedy: remedy)
  }
  func failed(_ value: String, remedy: String) -> DoctorFinding {
    DoctorFinding(Self.name, .failed, value, remedy: remedy)
  }
}
