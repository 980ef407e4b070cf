import Glibc

/// What this process holds of the machine's memory, pages of files that it has mapped included.
public enum ProcessMemory {
  /// The most bytes so far.
  public static func peak() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_maxrss) * 1024
  }

  /// The bytes now; the most so far where the system does not say.
  public static func now() -> Int {
    // "size resident shared …", in pages.
    let text = TextFile.contents(of: "/proc/self/statm") ?? ""
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return peak() }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }
}
