public import AngelCore
import Glibc

/// What the store wrote down about a model when it was pulled: `manifest.json` in the model's folder.
public struct ModelManifest: Sendable, Equatable {
  /// One file of the model.
  public struct File: Sendable, Equatable {
    /// Relative to the model's folder.
    public var path: String
    public var size: Int
    /// 64 lower-case hexadecimal digits.
    public var sha256: String
  }

  public var name: String
  /// Where the model came from: a package, a URL or a path.
  public var source: String
  public var license: String?
  /// Of a model hub: the branch or tag that was asked for, and the commit it stood for, 40 hexadecimal digits.
  public var revision: String?
  public var commit: String?
  /// When it was pulled, ISO 8601 in UTC.
  public var pulled: String
  public var files: [File]

  /// The sum of the files' sizes.
  public var size: Int { files.reduce(0) { $0.addingReportingOverflow($1.size).partialValue } }

  static let fileName = "manifest.json"

  /// The manifest as JSON.
  public var json: JSONValue {
    var object = JSONObject([("name", .string(name)), ("source", .string(source))])
    if let license { object["license"] = .string(license) }
    if let revision { object["revision"] = .string(revision) }
    if let commit { object["commit"] = .string(commit) }
    object["pulled"] = .string(pulled)
    object["files"] = .array(
      files.map {
        .object(
          JSONObject([("path", .string($0.path)), ("size", .integer($0.size)), ("sha256", .string($0.sha256))]))
      })
    return .object(object)
  }

  init(name: String, source: String, license: String?, files: [File]) {
    self.name = name
    self.source = source
    self.license = license
    self.files = files
    pulled = Self.now()
  }

  /// Reads a manifest; nil for anything that is not one.
  init?(json: JSONValue) {
    guard let name = json["name"]?.string, let source = json["source"]?.string, let entries = json["files"]?.array
    else { return nil }
    self.name = name
    self.source = source
    license = json["license"]?.string
    revision = json["revision"]?.string
    commit = json["commit"]?.string
    pulled = json["pulled"]?.string ?? ""
    files = []
    for entry in entries {
      guard let path = entry["path"]?.string, let size = entry["size"]?.integer, size >= 0,
        Self.staysInside(path), path != Self.fileName
      else { return nil }
      files.append(File(path: path, size: size, sha256: entry["sha256"]?.string ?? ""))
    }
  }

  /// Whether a relative path leads to a place below the folder that it starts from.
  static func staysInside(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return !path.utf8.contains(0) && !parts.contains { $0.isEmpty || $0 == "." || $0 == ".." }
  }

  private static func now() -> String {
    var seconds = time(nil)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
