/// Ends streamed text before the first stop text, and holds back only what could still become one.
///
/// The stop text that is complete first wins; of several that end at the same place, the longest. So the result does
/// not depend on how the text is cut into pieces. Comparison is by UTF-8 bytes, without normalisation; pieces and stop
/// texts are valid UTF-8, therefore a match never begins or ends inside a character's code. Linear in the text
/// (Aho and Corasick, CACM 1975).
public struct StopSequenceMatcher: Sendable {
  /// What a piece of text lets out.
  public struct Output: Equatable, Sendable {
    /// Text that is certainly part of the answer.
    public var text: String
    /// The stop text that was completed; after it nothing more is let out.
    public var stop: String?
    public init(text: String, stop: String? = nil) {
      self.text = text
      self.stop = stop
    }
  }

  private struct Node {
    var next: [UInt8: Int32] = [:]
    /// The longest proper suffix that is also a prefix of a stop text.
    var fallback: Int32 = 0
    var depth: Int
    /// The longest stop text that ends here, if any.
    var stop: Int?
  }

  private let stops: [String]
  private let includesStop: Bool
  private var nodes: [Node]
  private var node: Int32 = 0
  /// The bytes held back: those that led to `node`.
  private var held: [UInt8] = []
  /// The stop text that ended the answer.
  public private(set) var matched: String?

  /// Stops at any of `stops`; empty ones are ignored. With `includesStop` the stop text itself is let out too.
  public init(_ stops: [String], includesStop: Bool = false) {
    self.stops = stops.filter { !$0.isEmpty }
    self.includesStop = includesStop
    nodes = [Node(depth: 0)]
    for (index, stop) in self.stops.enumerated() { insert(Array(stop.utf8), stop: index) }
    link()
  }

  /// Takes the next piece of text and returns what is safe to show.
  public mutating func append(_ text: String) -> Output {
    guard matched == nil else { return Output(text: "") }
    guard nodes.count > 1 else { return Output(text: text) }
    var safe: [UInt8] = []
    for byte in text.utf8 {
      held.append(byte)
      node = follow(byte)
      if let stop = nodes[Int(node)].stop { return end(with: stops[stop], safe: safe) }
      let surplus = held.count - nodes[Int(node)].depth
      if surplus > 0 {
        safe.append(contentsOf: held[..<surplus])
        held.removeFirst(surplus)
      }
    }
    return Output(text: String(decoding: safe, as: UTF8.self))
  }

  /// The text still held back, once no more will come.
  public mutating func finish() -> String {
    defer {
      held = []
      node = 0
    }
    return String(decoding: held, as: UTF8.self)
  }

  private mutating func end(with stop: String, safe: [UInt8]) -> Output {
    matched = stop
    let before = held.dropLast(stop.utf8.count)
    held = []
    node = 0
    let text = String(decoding: safe + before, as: UTF8.self)
    return Output(text: includesStop ? text + stop : text, stop: stop)
  }

  private func follow(_ byte: UInt8) -> Int32 {
    var place = node
    while true {
      if let next = nodes[Int(place)].next[byte] { return next }
      if place == 0 { return 0 }
      place = nodes[Int(place)].fallback
    }
  }

  private mutating func insert(_ bytes: [UInt8], stop: Int) {
    var place: Int32 = 0
    for byte in bytes {
      if let next = nodes[Int(place)].next[byte] {
        place = next
      } else {
        nodes.append(Node(depth: nodes[Int(place)].depth + 1))
        nodes[Int(place)].next[byte] = Int32(nodes.count - 1)
        place = Int32(nodes.count - 1)
      }
    }
    if nodes[Int(place)].stop == nil { nodes[Int(place)].stop = stop }
  }

  /// Sets fallbacks breadth first; a node without a stop text of its own inherits that of its fallback.
  private mutating func link() {
    var queue: [Int32] = [0]
    var head = 0
    while head < queue.count {
      let place = queue[head]
      head += 1
      for (byte, child) in nodes[Int(place)].next {
        if place != 0 {
          node = nodes[Int(place)].fallback
          nodes[Int(child)].fallback = follow(byte)
        }
        if nodes[Int(child)].stop == nil { nodes[Int(child)].stop = nodes[Int(nodes[Int(child)].fallback)].stop }
        queue.append(child)
      }
    }
    node = 0
  }
}
