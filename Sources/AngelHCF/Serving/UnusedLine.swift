/// Things that nobody uses, in the order in which they fell out of use. All steps take O(1).
struct UnusedLine<Element: Hashable> {
  private struct Place {
    var earlier: Element?
    var later: Element?
    let time: UInt64
  }

  private var places: [Element: Place] = [:]
  private(set) var oldest: Element?
  private var newest: Element?

  var count: Int { places.count }
  func contains(_ element: Element) -> Bool { places[element] != nil }
  /// When the one that has waited longest came.
  var oldestTime: UInt64? { oldest.flatMap { places[$0]?.time } }

  /// Adds one at the end, unless it is there.
  mutating func append(_ element: Element, time: UInt64) {
    guard places[element] == nil else { return }
    places[element] = Place(earlier: newest, time: time)
    if let newest { places[newest]?.later = element } else { oldest = element }
    newest = element
  }

  /// Takes one out, wherever it stands; nothing happens when it is not there.
  mutating func remove(_ element: Element) {
    guard let place = places.removeValue(forKey: element) else { return }
    if let earlier = place.earlier { places[earlier]?.later = place.later } else { oldest = place.later }
    if let later = place.later { places[later]?.earlier = place.earlier } else { newest = place.earlier }
  }

  /// Whether the links agree with each other.
  var isConsistent: Bool {
    var (count, earlier, next) = (0, Element?.none, oldest)
    while let element = next, let place = places[element], count < places.count {
      guard place.earlier == earlier else { return false }
      (count, earlier, next) = (count + 1, element, place.later)
    }
    return count == places.count && newest == earlier && next == nil
  }
}
