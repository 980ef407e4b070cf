public import AngelCore

/// What a run will need, kind by kind, known and printed before it starts.
public struct MemoryPlan: Equatable, Sendable {
  /// One purpose of memory and its bytes.
  public struct Entry: Equatable, Sendable {
    public let kind: MemoryKind
    /// What it is, for the table: "135 M parameters, Q4_1".
    public let detail: String
    public let byteCount: Int
    public init(kind: MemoryKind, detail: String = "", byteCount: Int) {
      precondition(byteCount >= 0, "\(kind) of \(byteCount) bytes")
      self.kind = kind
      self.detail = detail
      self.byteCount = byteCount
    }
  }

  /// A printed line: name, detail, size and part of the total.
  public struct Row: Equatable, Sendable {
    public let name: String
    public let detail: String
    public let size: String
    public let share: String
  }

  /// Bytes the run may use.
  public var budget: Int
  /// The parts, in the order they were planned.
  public private(set) var entries: [Entry]

  public init(budget: Int, entries: [Entry] = []) {
    self.budget = budget
    self.entries = entries
  }

  /// Plans `byteCount` bytes for `kind`.
  public mutating func add(_ kind: MemoryKind, _ detail: String = "", byteCount: Int) {
    entries.append(Entry(kind: kind, detail: detail, byteCount: byteCount))
  }

  /// Bytes planned for one kind.
  public subscript(kind: MemoryKind) -> Int { sum(entries.filter { $0.kind == kind }) }

  /// All planned bytes; the largest integer where they exceed it.
  public var total: Int { sum(entries) }

  /// Whether the plan keeps to the budget.
  public var fits: Bool { total <= budget }

  /// Bytes left for more; negative when the plan does not fit.
  public var headroom: Int { budget - total }

  /// Throws `.overBudget`, naming the largest part, when the plan does not fit.
  public func check() throws(MemoryError) {
    guard !fits, let largest = entries.max(by: { $0.byteCount < $1.byteCount }) else { return }
    throw .overBudget(
      planned: total, budget: budget, largest: largest.kind.description, largestByteCount: largest.byteCount)
  }

  private func sum(_ entries: [Entry]) -> Int {
    entries.reduce(0) {
      let (sum, overflow) = $0.addingReportingOverflow($1.byteCount)
      return overflow ? .max : sum
    }
  }
}

extension MemoryPlan: CustomStringConvertible {
  /// One row for each entry, then the total and the budget.
  public var rows: [Row] {
    entries.map { row($0.kind.description, $0.detail, $0.byteCount) } + [
      row("total", fits ? "fits" : "does not fit", total),
      Row(name: "budget", detail: "", size: TextFormat.bytes(budget), share: ""),
    ]
  }

  private func row(_ name: String, _ detail: String, _ byteCount: Int) -> Row {
    let share = total == 0 ? 0 : Int((Double(byteCount) / Double(total) * 100).rounded())
    return Row(name: name, detail: detail, size: TextFormat.bytes(byteCount), share: "\(share) %")
  }

  /// An aligned table of `rows`, without a newline at its end.
  public var description: String {
    let rows = self.rows
    let nameWidth = rows.map(\.name.count).max() ?? 0
    let sizeWidth = rows.map(\.size.count).max() ?? 0
    let shareWidth = rows.map(\.share.count).max() ?? 0
    return rows.map { row in
      let cells = [
        row.name + padding(row.name, nameWidth), padding(row.size, sizeWidth) + row.size,
        padding(row.share, shareWidth) + row.share, row.detail,
      ]
      let line = cells.joined(separator: "  ")
      return String(line[..<(line.lastIndex { $0 != " " }.map(line.index(after:)) ?? line.startIndex)])
    }.joined(separator: "\n")
  }

  private func padding(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count))
  }

  /// `{"entries":[{"kind","detail","bytes"}…],"total_bytes","budget_bytes","fits"}`.
  public var json: JSONValue {
    .object(
      JSONObject([
        (
          "entries",
          .array(
            entries.map {
              .object(
                JSONObject([
                  ("kind", .string($0.kind.jsonName)), ("detail", .string($0.detail)),
                  ("bytes", .integer($0.byteCount)),
                ]))
            })
        ), ("total_bytes", .integer(total)), ("budget_bytes", .integer(budget)), ("fits", .bool(fits)),
      ]))
  }
}

extension MemoryKind {
  /// The name in JSON: snake case.
  public var jsonName: String {
    switch self {
    case .weights: "weights"
    case .gradients: "gradients"
    case .optimizerStates: "optimizer_states"
    case .activations: "activations"
    case .keyValueCache: "kv_cache"
    case .workspace: "workspace"
    }
  }
}
