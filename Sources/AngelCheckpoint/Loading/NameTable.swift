import AngelCore

/// How a file orders the rows of a weight whose model wants another order.
public enum RowOrder: Hashable, Sendable {
  case identity
  /// The GGUF converter of the llama family interleaves each head's two halves for its pairwise rotation; row `i` of half
  /// `h` is file row `2i + h` of that head.
  /// Where only the first `rotated` rows of a head are, the others keep their places.
  case interleavedHalves(headSize: Int, rotated: Int? = nil)

  /// The file row of each model row, nil for the identity.
  func sourceRows(count: Int) -> [Int32]? {
    switch self {
    case .identity: nil
    case .interleavedHalves(let headSize, let rotated):
      (0..<count).map { row in
        let (head, inside) = (row / headSize, row % headSize)
        let pairs = (rotated ?? headSize) / 2
        guard inside < 2 * pairs else { return Int32(row) }
        let (half, index) = (inside / pairs, inside % pairs)
        return Int32(head * headSize + 2 * index + half)
      }
    }
  }
}

/// The two-way map between a model's parameter paths and the names in checkpoint files: data beside each model.
///
/// `*` stands for an index: the first for a layer's, a second one for an expert's. A name with fewer of them than its path
/// is that of a stack, a tensor with one axis more whose entries are the experts' matrices. Several parameters may name one
/// tensor of which each is a share.
public struct NameTable: Sendable {
  /// One parameter's names.
  public struct Entry: Sendable {
    public let path: String
    public let huggingFace: String
    public let gguf: String
    /// How Hugging Face files order the rows.
    public let huggingFaceRows: RowOrder
    /// How the GGUF file orders the rows.
    public let ggufRows: RowOrder
    /// Another name for it in Hugging Face files, that of a stack.
    public let huggingFaceStack: Stack?
    /// How Hugging Face files hold the values.
    public let huggingFaceForm: StoredForm
    /// How GGUF files hold the values.
    public let ggufForm: StoredForm

    public init(
      _ path: String, huggingFace: String, gguf: String, huggingFaceRows: RowOrder = .identity,
      ggufRows: RowOrder = .identity, huggingFaceStack: Stack? = nil, huggingFaceForm: StoredForm = .plain,
      ggufForm: StoredForm = .plain
    ) {
      self.path = path
      self.huggingFace = huggingFace
      self.gguf = gguf
      self.huggingFaceRows = huggingFaceRows
      self.ggufRows = ggufRows
      self.huggingFaceStack = huggingFaceStack
      self.huggingFaceForm = huggingFaceForm
      self.ggufForm = ggufForm
    }
  }

  /// A stack whose entries hold `shareCount` matrices one below the other, of which one is meant.
  public struct Stack: Hashable, Sendable {
    public let name: String
    public let share: Int
    public let shareCount: Int

    public init(_ name: String, share: Int = 0, of shareCount: Int = 1) {
      self.name = name
      self.share = share
      self.shareCount = shareCount
    }
  }

  private let entries: [String: Entry]
  private let pathByName: [Checkpoint.Layout: [String: String]]

  public init(_ entries: [Entry]) {
    func paths(_ names: [(String, String)]) -> [String: String] {
      Dictionary(names, uniquingKeysWith: { first, _ in first })
    }
    self.entries = Dictionary(entries.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
    pathByName = [
      .huggingFace: paths(
        entries.map { ($0.huggingFace, $0.path) }
          + entries.compactMap { entry in
            entry.huggingFaceStack.map { ($0.name, entry.path) }
          }),
      .gguf: paths(entries.map { ($0.gguf, $0.path) }),
    ]
  }

  /// Where files of `layout` keep a parameter, the usual place first; empty when the table has no such path.
  public func places(ofParameter path: String, in layout: Checkpoint.Layout) -> [TensorPlace] {
    let (pattern, indices) = Self.generalized(path)
    guard let entry = entries[pattern] else { return [] }
    switch layout {
    case .gguf: return [Self.place(entry.gguf, indices, entry.ggufRows, entry.ggufForm)]
    case .huggingFace:
      let stack = entry.huggingFaceStack.map {
        Self.place($0.name, indices, .identity, .share($0.share, of: $0.shareCount))
      }
      return [Self.place(entry.huggingFace, indices, entry.huggingFaceRows, entry.huggingFaceForm)]
        + (stack.map { [$0] } ?? [])
    }
  }

  /// The usual place of a parameter in a file of `layout`, or nil when the table has no such path.
  public func tensor(forParameter path: String, in layout: Checkpoint.Layout) -> TensorPlace? {
    places(ofParameter: path, in: layout).first
  }

  /// The path of the parameter a file's tensor belongs to, or nil when the model has none of that name; for a stack, the
  /// path of its entry `entry`.
  public func parameter(forTensor name: String, in layout: Checkpoint.Layout, entry: Int = 0) -> String? {
    let (pattern, indices) = Self.generalized(name)
    return pathByName[layout]?[pattern].map { Self.specialized($0, indices + ["\(entry)"]) }
  }

  /// What a parameter of an expert has in common with those of its layer's other experts: its path with `*` for the
  /// expert; nil for any other parameter.
  static func siblings(ofParameter path: String) -> String? {
    let (pattern, indices) = generalized(path)
    return indices.count == 2 ? specialized(pattern, [indices[0]]) : nil
  }

  private static func place(
    _ name: String, _ indices: [Substring], _ rows: RowOrder, _ form: StoredForm
  ) -> TensorPlace {
    let own = name.utf8.count { $0 == UInt8(ascii: "*") }
    let entry = own < indices.count ? indices.last.flatMap { Int($0) } : nil
    return TensorPlace(name: specialized(name, indices), rows: rows, entry: entry, form: form)
  }

  /// `blocks.3.norm` becomes (`blocks.*.norm`, [`3`]).
  private static func generalized(_ name: String) -> (pattern: String, indices: [Substring]) {
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)
    var indices: [Substring] = []
    for position in parts.indices where !parts[position].isEmpty {
      guard parts[position].utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { continue }
      indices.append(parts[position])
      parts[position] = "*"
    }
    return (parts.joined(separator: "."), indices)
  }

  private static func specialized(_ pattern: String, _ indices: [Substring]) -> String {
    var rest = indices[...]
    return pattern.split(separator: ".", omittingEmptySubsequences: false)
      .map { $0 == "*" ? rest.popFirst() ?? $0 : $0 }.joined(separator: ".")
  }
}

/// Where a file keeps a parameter: a tensor, a share of one, or a part of a stack.
public struct TensorPlace: Hashable, Sendable {
  public let name: String
  /// How the file orders the rows.
  public let rows: RowOrder
  /// The entry along a stack's outermost axis; nil when the tensor is the parameter.
  public let entry: Int?
  /// How the tensor or the entry holds the parameter's values.
  public let form: StoredForm
}
