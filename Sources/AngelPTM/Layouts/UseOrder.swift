/// The order in which a step's passes ask for parted values. It is the program's, so the step before foretells it, on all
/// processes alike.
struct UseOrder {
  /// One plane of a parameter.
  struct Use: Hashable {
    let index: Int
    let plane: Int
  }

  private var before: [Use] = []
  private var now: [Use] = []
  private var isAsBefore = true

  /// How often something was asked for in this step.
  var count: Int { now.count }

  mutating func beginStep() { (before, now, isAsBefore) = (now, [], true) }

  mutating func ask(_ use: Use) {
    isAsBefore = isAsBefore && now.count < before.count && before[now.count] == use
    now.append(use)
  }

  /// What will be asked for after the next `count` uses; nil where that is not known.
  func use(after count: Int) -> Use? {
    let place = now.count + count
    return isAsBefore && place < before.count ? before[place] : nil
  }
}
