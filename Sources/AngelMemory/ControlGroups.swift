/// Memory limits of the control groups (v2 and v1) this process runs in: in a container, less than the machine has.
enum ControlGroups {
  /// The least of limit − use over this process's groups and all groups above them; nil when none is limited.
  static func room() -> Int? {
    guard let membership = TextFile.contents(of: "/proc/self/cgroup") else { return nil }
    return room(membership: membership, contents: TextFile.contents(of:))
  }

  /// `membership` is the text of /proc/self/cgroup; `contents` reads a file.
  static func room(membership: String, contents: (String) -> String?) -> Int? {
    var least: Int?
    for line in membership.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let isUnified = fields[1].isEmpty
      guard isUnified || fields[1].split(separator: ",").contains("memory") else { continue }
      let root = isUnified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
      let (limit, use) =
        isUnified ? ("memory.max", "memory.current") : ("memory.limit_in_bytes", "memory.usage_in_bytes")
      for folder in folders(of: fields[2]) {
        guard let limit = number(contents(root + folder + "/" + limit)) else { continue }
        let room = max(0, limit - (number(contents(root + folder + "/" + use)) ?? 0))
        least = min(least ?? room, room)
      }
    }
    return least
  }

  /// "/a/b" → "/a/b", "/a", "": a limit anywhere above holds below it.
  private static func folders(of path: Substring) -> [String] {
    let names = path.split(separator: "/")
    return (0...names.count).reversed().map { names.prefix($0).map { "/" + $0 }.joined() }
  }

  /// A limit in bytes; nil for "max" and for v1's way to say unlimited (a number near 2^63).
  private static func number(_ text: String?) -> Int? {
    guard let digits = text?.prefix(while: \.isNumber), let value = Int(digits), value < 1 << 60 else { return nil }
    return value
  }
}
