import AngelCore

/// Whether a run that is saved, loaded and gone on with has the bits of one that was not stopped.
struct ResumeCheck: DoctorCheck {
  static let name = "save, load, resume"
  /// Digests of all parameters and states after a step, another step taken at once.
  let straight: () throws -> [String: String]
  /// The same, the run being saved after the first step and loaded before the second.
  let resumed: () throws -> [String: String]

  func run() throws -> DoctorFinding {
    let (one, other) = (try straight(), try resumed())
    let different = Set(one.keys).union(other.keys).filter { one[$0] != other[$0] }.sorted()
    guard let first = different.first else {
      return passed("\(one.count) tensors have the same bits after 2 steps and after 1 + 1")
    }
    return failed(
      "\(different.count) of \(one.count) tensors differ after 1 + 1 steps, the first \(first)",
      remedy: "do not stop this run: it would go on from other values than it had")
  }
}
