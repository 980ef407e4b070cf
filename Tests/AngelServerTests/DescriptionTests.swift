import AngelCore
import AngelTesting
import Testing

@testable import AngelServer

/// What the server says of itself, and the page that lists its fields.
@Suite("Descriptions of the interface")
struct DescriptionTests {
  @Test("/openapi.json describes every endpoint, and what it requires and refuses")
  func openAPI() throws {
    let document = OpenAPIEndpoint.document(version: "1")
    let paths = try #require(document["paths"]?.object)
    #expect(paths.members.map(\.key) == EndpointCatalog.all.map { $0.path })
    let chat = document["paths"]?["/v1/chat/completions"]?["post"]?["requestBody"]?["content"]?["application/json"]?[
      "schema"]
    #expect(chat?["required"] == ["messages"])
    #expect(chat?["additionalProperties"] == false)
    #expect(chat?["properties"]?["temperature"]?["maximum"]?.double == 100)
    #expect(chat?["properties"]?["temperature"]?["type"] == ["number", "null"])
    #expect(document["paths"]?["/health"]?["get"]?["security"] == nil)
    func answers(_ path: String) -> [String]? {
      document["paths"]?[path]?["post"]?["responses"]?["200"]?["content"]?.object?.members.map(\.key)
    }
    #expect(answers("/v1/messages") == ["application/json", "text/event-stream"])
    #expect(answers("/api/chat") == ["application/json", "application/x-ndjson"])
    #expect(answers("/v1/rerank") == ["application/json"])
    // Each dialect's errors are described, and every path's is one of them.
    let schemas = try #require(document["components"]?["schemas"]?.object)
    for path in paths.members {
      for method in path.value.object?.members ?? [] {
        let error = method.value["responses"]?["default"]?["content"]?["application/json"]?["schema"]?["$ref"]?.string
        let name = try #require(error?.split(separator: "/").last)
        #expect(schemas[String(name)] != nil, "\(path.key)")
      }
    }
    // Objects that are told apart by their type.
    let block = document["paths"]?["/v1/messages"]?["post"]?["requestBody"]?["content"]?["application/json"]?[
      "schema"]?[
        "properties"]?["tool_choice"]?["anyOf"]?.array?[0]["anyOf"]?.array
    #expect(block?.map { $0["properties"]?["type"]?["enum"] } == [["auto"], ["any"], ["none"], ["tool"]])
    #expect(block?[3]["required"] == ["type", "name"])
  }

  @Test("Compatibility.md lists every endpoint and every field")
  func compatibility() throws {
    let path = Goldens.path("../../Documentation/Compatibility.md")
    let page = String(decoding: try TemporaryFolder.read(path), as: UTF8.self)
    for endpoint in EndpointCatalog.all {
      #expect(page.contains("`\(endpoint.path)`"), "\(endpoint.path)")
      for field in endpoint.fields { #expect(page.contains("`\(field.name)`"), "\(endpoint.path): \(field.name)") }
    }
  }

  @Test("addresses of servers")
  func places() {
    #expect(HTTPClient.Place(url: "http://127.0.0.1:8000") == HTTPClient.Place(host: "127.0.0.1", port: 8000))
    #expect(HTTPClient.Place(url: "http://host/base/") == HTTPClient.Place(host: "host", port: 80, base: "/base"))
    #expect(HTTPClient.Place(url: "http://[::1]:81") == HTTPClient.Place(host: "::1", port: 81))
    #expect(HTTPClient.Place(url: "https://host") == nil)
    #expect(HTTPClient.Place(url: "http://host:x") == nil)
  }

  @Test("events come out the same, however the stream is cut")
  func events() {
    let text = Array("data: {\"a\":1}\n\n: ping\n\ndata: x\ndata: y\n\ndata: [DONE]\n\n".utf8)
    for cut in 1...text.count {
      var reader = EventReader()
      var events: [String] = []
      for start in stride(from: 0, to: text.count, by: cut) {
        events += reader.append(Array(text[start..<min(start + cut, text.count)]))
      }
      #expect(events == ["{\"a\":1}", "x\ny", "[DONE]"])
    }
  }
}
