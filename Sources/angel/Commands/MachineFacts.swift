import AngelCPU
import AngelCore
import AngelMemory
import Glibc

/// What a run's page says of the program and the machine it ran on.
enum MachineFacts {
  static func all(_ backend: CPUBackend) -> [(name: String, value: String)] {
    var facts: [(name: String, value: String)] = [
      ("angel", Angel.version), ("threads", "\(backend.threadCount)"), ("instruction set", backend.instructionSet),
    ]
    if let processor = processor() { facts.append(("processor", processor)) }
    facts.append(("memory that may be used", TextFormat.bytes(backend.pool.budget)))
    var name = utsname()
    if uname(&name) == 0 {
      facts.append(("system", "\(text(&name.sysname)) \(text(&name.release)) \(text(&name.machine))"))
    }
    facts.append(("begun at", date()))
    return facts
  }

  /// The processor's name as Linux has it.
  private static func processor() -> String? {
    guard let file = fopen("/proc/cpuinfo", "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    let limit = Int32(line.count)
    while fgets(&line, limit, file) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      guard text.hasPrefix("model name"), let colon = text.firstIndex(of: ":") else { continue }
      return String(text[text.index(after: colon)...].filter { $0 != "\n" }.drop { $0 == " " })
    }
    return nil
  }

  private static func text<Tuple>(_ characters: inout Tuple) -> String {
    withUnsafeBytes(of: &characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// Now, in universal time.
  private static func date() -> String {
    var (now, parts) = (time(nil), tm())
    gmtime_r(&now, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    let count = strftime(&buffer, 32, "%Y-%m-%d %H:%M UTC", &parts)
    return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
