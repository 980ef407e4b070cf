import AngelCore

/// Formats for the parts of a model that lose least together within a size: pure arithmetic.
struct PrecisionAssignment: Sendable {
  /// What can be chosen for one part.
  struct Choice: Sendable, Equatable {
    let format: DType
    let bytes: Int
    /// What it adds to the loss, nats a token.
    let loss: Double

    init(_ format: DType, bytes: Int, loss: Double) {
      self.format = format
      self.bytes = bytes
      self.loss = loss
    }
  }

  /// When enough has been spent.
  enum Budget: Sendable, Equatable {
    case bytes(Int)
    /// The loss, nats a token, that is not to be exceeded.
    case loss(Double)
  }

  /// The choice for each part.
  let choices: [Choice]

  /// The smallest choice of every part, and then, where a byte lessens the loss most, step by step the next one: on the lower
  /// convex hull of each part's choices that is the best for every size at which it can stop (Lagrange's multiplier being the
  /// loss a byte).
  init(_ parts: [[Choice]], within budget: Budget) {
    let hulls = parts.map(Self.hull)
    var places = [Int](repeating: 0, count: parts.count)
    let steps = hulls.indices.flatMap { part in
      hulls[part].indices.dropFirst().map { place in
        (part: part, place: place, gain: Self.gain(hulls[part][place - 1], hulls[part][place]))
      }
    }
    var bytes = hulls.reduce(0) { $0 + $1[0].bytes }, loss = hulls.reduce(0) { $0 + $1[0].loss }
    // Gains of one part fall from step to step, so that a stable order takes them in theirs.
    for step in steps.sorted(by: { ($1.gain, $0.part, $0.place) < ($0.gain, $1.part, $1.place) }) {
      let (old, new) = (hulls[step.part][step.place - 1], hulls[step.part][step.place])
      switch budget {
      case .bytes(let most): guard bytes + new.bytes - old.bytes <= most else { continue }
      case .loss(let most): guard loss > most else { continue }
      }
      guard places[step.part] == step.place - 1 else { continue }
      places[step.part] = step.place
      bytes += new.bytes - old.bytes
      loss += new.loss - old.loss
    }
    choices = zip(hulls, places).map { $0[$1] }
  }

  var byteCount: Int { choices.reduce(0) { $0 + $1.bytes } }
  var loss: Double { choices.reduce(0) { $0 + $1.loss } }

  /// What a byte more takes from the loss.
  private static func gain(_ a: Choice, _ b: Choice) -> Double { (a.loss - b.loss) / Double(b.bytes - a.bytes) }

  /// The choices that no line between two others lies below, in ascending size.
  private static func hull(_ choices: [Choice]) -> [Choice] {
    precondition(!choices.isEmpty, "a part of a model without a format to choose")
    var hull: [Choice] = []
    for choice in choices.sorted(by: { ($0.bytes, $0.loss) < ($1.bytes, $1.loss) }) {
      if let last = hull.last, choice.bytes == last.bytes || choice.loss >= last.loss { continue }
      while hull.count > 1, gain(hull[hull.count - 2], choice) >= gain(hull[hull.count - 2], hull[hull.count - 1]) {
        hull.removeLast()
      }
      hull.append(choice)
    }
    return hull
  }
}
