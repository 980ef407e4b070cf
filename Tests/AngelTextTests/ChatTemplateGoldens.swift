import AngelCore
import FoundationEssentials

/// `Tests/Goldens/templates/cases.json`, made by the reference Jinja2 (Scripts/goldens/chat_templates.py).
struct ChatTemplateGoldens {
  struct Case {
    let name: String
    let source: String
    let variables: JSONObject
    /// Either the text, or the message of `raise_exception`, or neither where the reference fails.
    let output: String?
    let raised: String?
  }

  let now: Int
  let families: [Case]
  let small: [Case]
  /// Names and sources of the larger templates.
  let templates: [(name: String, source: String)]

  static let shared = load()

  private static func load() -> ChatTemplateGoldens {
    let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Goldens/templates/cases.json")
    guard let data = try? Data(contentsOf: path), let json = try? JSONValue(parsing: data) else {
      preconditionFailure("\(path.path()) cannot be read")
    }
    return ChatTemplateGoldens(json)
  }

  private let json: JSONValue

  /// The variables of a conversation.
  func conversation(_ name: String) -> JSONObject? { json["conversations"]?[name]?.object }

  init(_ json: JSONValue) {
    self.json = json
    let conversation = { (name: String) in json["conversations"]?[name]?.object ?? JSONObject() }
    now = json["now"]?.integer ?? 0
    templates = (json["templates"]?.object?.members ?? []).map { ($0.key, $0.value.string ?? "") }
    families = (json["families"]?.array ?? []).map { entry in
      Case(
        name: entry["name"]?.string ?? "", source: json["templates"]?[entry["template"]?.string ?? ""]?.string ?? "",
        variables: conversation(entry["conversation"]?.string ?? ""), output: entry["output"]?.string,
        raised: entry["raised"]?.string)
    }
    small = (json["small"]?.array ?? []).map { entry in
      let source = entry["source"]?.string ?? ""
      return Case(
        name: source, source: source, variables: conversation("small"), output: entry["output"]?.string,
        raised: entry["raised"]?.string)
    }
  }
}
