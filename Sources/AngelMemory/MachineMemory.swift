import Glibc

/// How much memory this process may use: what the machine has available, cut down by the limits of its control groups.
public struct MachineMemory: Equatable, Sendable {
  /// Bytes that can be taken without swapping (`MemAvailable`), or nil where the kernel does not say.
  public var available: Int?
  /// The least room any control group above this process leaves, in bytes; nil when none is limited.
  public var controlGroupRoom: Int?

  public init(available: Int?, controlGroupRoom: Int?) {
    self.available = available
    self.controlGroupRoom = controlGroupRoom
  }

  /// Bytes this process may still take; 1 GiB where nothing is known.
  public var usable: Int {
    switch (available, controlGroupRoom) {
    case (let available?, let room?): min(available, room)
    case (let known?, nil), (nil, let known?): known
    case (nil, nil): 1 << 30
    }
  }

  /// The part of `usable` an arena takes unless told otherwise; the rest is for the program, files and neighbours.
  public static let defaultFraction = 0.8

  /// The default budget: `defaultFraction` of `usable` in whole pages, at least one page.
  public var defaultBudget: Int {
    max(1, Int(Double(usable) * Self.defaultFraction) / Page.byteCount) * Page.byteCount
  }

  /// Reads the state of this machine now.
  public static func current() -> MachineMemory {
    MachineMemory(
      available: TextFile.contents(of: "/proc/meminfo").flatMap(availableBytes(inMeminfo:)),
      controlGroupRoom: ControlGroups.room())
  }

  /// The value of the `MemAvailable` line of /proc/meminfo, in bytes.
  static func availableBytes(inMeminfo text: String) -> Int? {
    for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard words.count >= 2, let kibibytes = Int(words[1]) else { return nil }
      let (bytes, overflow) = kibibytes.multipliedReportingOverflow(by: 1024)
      return overflow ? nil : bytes
    }
    return nil
  }
}

/// Small text files of /proc and /sys, whose length is not known before they are read.
enum TextFile {
  static func contents(of path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress?.advanced(by: filled), $0.count - filled) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      filled += count
    }
    return String(decoding: bytes[..<filled], as: UTF8.self)
  }
}
