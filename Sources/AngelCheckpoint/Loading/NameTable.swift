import AngelCore

/// How a file orders the rows of a weight whose model wants another order.
public enum RowOrder: Hashable, Sendable {
  case identity
  /// The GGUF converter of the llama family interleaves each head's two halves for its pairwise rotation; row `i` of half
  /// `h` is file row `2i + h` of that head.
  case interleavedHalves(headSize: Int)

  /// The file row of each model row, nil for the identity.
  func sourceRows(count: Int) -> [Int32]? {
    switch self {
    case .identity: nil
    case .interleavedHalves(let headSize):
      (0..<count).map { row in
        let (head, inside) = (row / headSize, row % headSize)
        let (half, index) = (inside / (headSize / 2), inside % (headSize / 2))
        return Int32(head * headSize + 2 * index + half)
      }
    }
  }
}

/// The two-way map between a model's parameter paths and the names in checkpoint files: data beside each model.
///
/// `*` stands for a layer's index and may occur once in each name. Several parameters may name one tensor of which each
/// is a share.
public struct NameTable: Sendable {
  /// One parameter's names.
  public struct Entry: Sendable {
    public let path: String
    public let huggingFace: String
    public let gguf: String
    /// How the GGUF file orders the rows.
    public let ggufRows: RowOrder
    /// How Hugging Face files hold the values.
    public let huggingFaceForm: StoredForm
    /// How GGUF files hold the values.
    public let ggufForm: StoredForm

    public init(
      _ path: String, huggingFace: String, gguf: String, ggufRows: RowOrder = .identity,
      huggingFaceForm: StoredForm = .plain, ggufForm: StoredForm = .plain
    ) {
      self.path = path
      self.huggingFace = huggingFace
      self.gguf = gguf
      self.ggufRows = ggufRows
      self.huggingFaceForm = huggingFaceForm
      self.ggufForm = ggufForm
    }
  }

  private let byPath: [String: Entry]
  private let pathByName: [Checkpoint.Layout: [String: String]]

  public init(_ entries: [Entry]) {
    byPath = Dictionary(entries.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
    pathByName = [
      .huggingFace: Dictionary(entries.map { ($0.huggingFace, $0.path) }, uniquingKeysWith: { first, _ in first }),
      .gguf: Dictionary(entries.map { ($0.gguf, $0.path) }, uniquingKeysWith: { first, _ in first }),
    ]
  }

  /// The name, row order and form of a parameter in a file of `layout`, or nil when the table has no such path.
  public func tensor(
    forParameter path: String, in layout: Checkpoint.Layout
  ) -> (name: String, rows: RowOrder, form: StoredForm)? {
    let (pattern, index) = Self.generalized(path)
    guard let entry = byPath[pattern] else { return nil }
    switch layout {
    case .huggingFace: return (Self.specialized(entry.huggingFace, index), .identity, entry.huggingFaceForm)
    case .gguf: return (Self.specialized(entry.gguf, index), entry.ggufRows, entry.ggufForm)
    }
  }

  /// The path of the parameter a file's tensor belongs to (the first of several), or nil when the model has none of that
  /// name.
  public func parameter(forTensor name: String, in layout: Checkpoint.Layout) -> String? {
    let (pattern, index) = Self.generalized(name)
    return pathByName[layout]?[pattern].map { Self.specialized($0, index) }
  }

  /// `blocks.3.norm` becomes (`blocks.*.norm`, `3`).
  private static func generalized(_ name: String) -> (pattern: String, index: Substring?) {
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let position = parts.firstIndex(where: { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
    else { return (name, nil) }
    let index = parts[position]
    parts[position] = "*"
    return (parts.joined(separator: "."), index)
  }

  private static func specialized(_ pattern: String, _ index: Substring?) -> String {
    guard let index, let star = pattern.firstIndex(of: "*") else { return pattern }
    return String(pattern[..<star] + index + pattern[pattern.index(after: star)...])
  }
}
